"""What a writer works with, and how much it takes on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from libs.service.clock import Clock
from libs.service.db import Connection, Pool
from services.ledger.store.heads import Head


@dataclass(slots=True)
class Limits:
    """How much a writer takes on. `recent_max` must exceed what two batches can touch.

    `doubtful_max`: for how many batches keys are looked up after a start, and after a repeat that was not in memory.
    """

    queue_max: int = 4096
    batch_max: int = 512
    sweeps_max: int = 128
    accounts_max: int = 200_000
    recent_max: int = 50_000
    doubtful_max: int = 100


@dataclass(slots=True)
class Surroundings:
    """What a writer works with.

    `recover` opens a new appending connection, fences the old one's past and answers the heads as they are then; it
    waits for a database that is away and raises :class:`FencedError` when the lease has been lost meanwhile.
    """

    pool: Pool
    clock: Clock
    app_now: Callable[[str], int | None]
    partitions: int
    shard: str
    may_answer: Callable[[], bool]
    recover: Callable[[], Awaitable[tuple[Connection, dict[int, Head]]]]
    limits: Limits
