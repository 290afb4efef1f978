"""The simulation's short form: some hundred seeds, the same run from the same seed, and mistakes that it must find."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sim.mistakes import MISTAKES
from tests.sim.run import show, trial
from tests.sim.world import Outcome, simulate

SEEDS = 100
FOUND_WITHIN = 200
"""Seeds in which each mistake must be found."""
ROOT = Path(__file__).parents[2]
_DIGESTS = "from tests.sim.world import simulate\nprint([simulate(seed).digest for seed in range(7000, 7004)])"


def _first_failing(seeds: range) -> Outcome | None:
    return next((outcome for outcome in map(simulate, seeds) if outcome.violations), None)


@pytest.mark.timeout(600)
def test_no_seed_violates_an_invariant() -> None:
    """I1 to I11 under faults, and all is answered, published and consumed once they are over."""
    failing = _first_failing(range(SEEDS))
    assert failing is None, f"python -m tests.sim --seed {failing.seed}\n{show(failing)}"


def test_a_seed_is_one_run() -> None:
    """The same seed is the same run to the byte, in this process and in others that hash differently."""
    digests = str([simulate(seed).digest for seed in range(7000, 7004)])
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)}
        told = subprocess.run(
            [sys.executable, "-c", _DIGESTS], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
        )
        assert told.stdout.strip() == digests
    assert simulate(7000).digest != simulate(7001).digest


@pytest.mark.parametrize("name", MISTAKES)
def test_a_mistake_is_found(name: str) -> None:
    """Each known mistake violates something within a few seeds."""
    with MISTAKES[name]():
        assert _first_failing(range(FOUND_WITHIN)) is not None, f"{name} went unnoticed"


def test_a_trial_is_summed_up() -> None:
    """The figures of a trial count what its runs did."""
    summary = trial(9000, 3, 0.0, 1)
    figures = summary.figures()
    assert figures["seeds"] == 3
    assert figures["violating_seeds"] == {}
    assert figures["commands"] > 0
    assert "3 seeds from 9000, 0 with violations" in summary.line()
