"""What every reason is made of."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Reason:
    """Why: a code that stays the same, and a sentence that may get better."""

    why: str
    sentence: str
