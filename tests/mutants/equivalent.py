"""Mutants that no test can notice because they change nothing that is ever seen; each with the reason."""

from __future__ import annotations

EQUIVALENT: dict[tuple[str, str, str], str] = {}
"""(function, text taken out, text put in) → why the change is none."""


def reason_for(mutant: str, taken: str, put: str) -> str:
    """Why this mutant changes nothing, or an empty text."""
    function = mutant.rpartition("__mutmut_")[0].rpartition(".")[2].removeprefix("x_")
    return EQUIVALENT.get((function, taken, put), "")
