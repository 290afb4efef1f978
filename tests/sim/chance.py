"""What chance decides in a run, all of it from one seed: latencies, faults, and which of them this run has at all.

Each run draws its own rates, most of them nothing: faults that come alone reach places that a storm of them does not.
"""

from __future__ import annotations

from random import Random

import asyncpg

from services.ledger.store.append import APPEND

_REFUSALS = (
    asyncpg.DiskFullError("could not extend file: No space left on device"),
    asyncpg.DeadlockDetectedError("deadlock detected"),
    asyncpg.OutOfMemoryError("out of memory"),
)


class Chance:
    """The dice of one run. `on` is False once the faults are over."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)  # noqa: S311
        self.on = True
        draw = self.random
        strength = draw.choice((0.0, 0.3, 1.0, 3.0))
        self.unsent = draw.choice((0.0, 0.01)) * strength
        self.lost = draw.choice((0.0, 0.02, 0.05)) * strength
        self.dropped = draw.choice((0.0, 0.01)) * strength
        self.silent = draw.choice((0.0, 0.02)) * strength
        self.slow = draw.choice((0.0, 0.02, 0.1)) * strength
        self.refused = draw.choice((0.0, 0.0, 0.02)) * strength
        self.bus = draw.choice((0.0, 0.03, 0.1)) * strength
        self.feed = draw.choice((0.0, 0.1)) * strength
        self.events_s = draw.choice((0.4, 1.0, 3.0)) if strength else 100.0
        """A greater fault (a death, a pause, the broker's loss) comes about so often."""

    def hits(self, rate: float) -> bool:
        """Whether something of this rate happens now."""
        return self.on and rate > 0.0 and self.random.random() < rate

    def latency_s(self) -> float:
        """An ordinary journey, now and then a slow one."""
        if self.hits(self.slow):
            return self.random.choice((0.05, 0.5, 2.0)) * self.random.random()
        return 0.0002 + 0.0008 * self.random.random()

    def reply_s(self) -> float:
        """The way back; mostly its time counts with the way there, which spares a step."""
        return 0.0 if self.random.random() < 0.7 else self.latency_s()

    def fault(self, sql: str) -> str:
        """What becomes of a statement.

        "": nothing. "unsent", or "dropped" on the way: it does not happen. "lost": its client hears that the connection
        is, whether it happens or not. "silent": it happens, and its client hears nothing.
        """
        if not self.on:
            return ""
        if self.hits(self.lost):
            return "lost"
        if self.hits(self.dropped):
            return "dropped"
        if sql == APPEND and self.hits(self.silent):
            return "silent"
        return "unsent" if self.hits(self.unsent) else ""

    def travel_s(self, fault: str) -> float:
        """How long a statement is on its way. One whose client hears no answer may come long after."""
        if fault == "lost" and self.random.random() < 0.4:
            return self.random.choice((0.1, 1.0, 6.0)) * self.random.random()
        return self.latency_s()

    def loss_s(self) -> float:
        """When a client hears that its connection is lost."""
        return self.random.choice((0.001, 0.01, 0.3, 3.0)) * self.random.random()

    def commit_s(self, name: str) -> float:
        """How long a commit takes, rows locked."""
        return self.latency_s() if name in ("append", "COMMIT") else 0.0001

    def refusal(self, name: str) -> Exception | None:
        """An error instead of the statement's effect."""
        if name == "append" and self.hits(self.refused):
            return self.random.choice(_REFUSALS)
        return None
