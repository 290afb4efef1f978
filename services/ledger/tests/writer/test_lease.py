"""When a leader may answer: by its own monotonic clock, whatever the time of day is said to be."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from libs.service.problems import Unavailable
from services.ledger.tests.support import DEADLINE_S, Ledger, WallClock, ledger_on
from services.ledger.writer.leader import LeaseTimes
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

HOUR_US = 3_600_000_000


class _JumpingClock(WallClock):
    """A monotonic clock that can be put forward, as that of a process that was paused."""

    jumped_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.jumped_s


@asynccontextmanager
async def _no_renewals(books: Database) -> AsyncIterator[None]:
    """Renewals of the lease wait; appends do not."""
    admin = await asyncpg.connect(books.admin_dsn)
    try:
        async with admin.transaction():
            await admin.execute("SELECT 1 FROM shards FOR UPDATE")
            yield
    finally:
        await admin.close()


async def _renewed_once_more(ledger: Ledger) -> None:
    beat = await ledger.pool.fetchval("SELECT beat FROM shards")
    async with asyncio.timeout(DEADLINE_S):
        while await ledger.pool.fetchval("SELECT beat FROM shards") == beat:  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_wrong_time_of_day_neither_ends_nor_prolongs_a_lease(books: Database, hours: int) -> None:
    """C11: put the wall clock an hour off; the leader answers for as long as it renews, and no longer."""
    clock = _JumpingClock()
    async with ledger_on(books, clock=clock) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10)
        writer = await ledger.writer()
        await _renewed_once_more(ledger)
        async with _no_renewals(books):
            clock.set(clock.now_us() + hours * HOUR_US)
            assert (await writer.submit(ledger.request("charge", "ann", amount=1))).status == 201
            clock.jumped_s += LeaseTimes().answer_s
            assert not ledger.leader.leads()


async def test_nothing_is_answered_after_the_lease_ran_out(books: Database) -> None:
    """C11: a writer that slept past its lease may have been replaced; what it commits, it keeps to itself."""
    clock = _JumpingClock()
    async with ledger_on(books, clock=clock) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10)
        writer = await ledger.writer()
        async with _no_renewals(books):
            clock.jumped_s += LeaseTimes().answer_s
            late = ledger.request("charge", "ann", amount=1, key="late")
            with pytest.raises(Unavailable):
                await writer.submit(late)
        # Whoever asks again under its key is told what became of it.
        assert (await ledger.do("charge", "ann", amount=1, key="late")).body["available"] == "9"
