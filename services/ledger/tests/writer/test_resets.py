"""The end of a month for many accounts: everybody is reset once, and the number that is told is right."""

from __future__ import annotations

import asyncio
import logging
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from services.ledger.core import Core
from services.ledger.jobs import SWEEP_CHUNK
from services.ledger.resets import Resets
from services.ledger.store.reads import accounts_due, latest_configs
from services.ledger.tests.support import APP, PARTITIONS, Ledger, ledger_on
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

USERS = 600
NEXT_MONTH = datetime(2026, 2, 1, tzinfo=UTC)
PLANS = {"free": {"limit": "100", "default": True}, "yearly": {"limit": "7", "period": "anniversary"}}


def us(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return round(moment.timestamp()) * 1_000_000


class Watch:
    """What the job needs of a process, around a writer of the tests."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.resets = Resets(cast("Core", self))
        self.pool = ledger.pool
        self.clocks = SimpleNamespace(now_us=lambda _app: ledger.clock.now_us())
        self.known: dict[str, Any] = {}
        self.configs = SimpleNamespace(apps=lambda: list(self.known), get=self.known.get)

    def owned(self) -> list[int]:
        """The partitions of the one writer."""
        return list(range(PARTITIONS))

    def writer_of(self, _partition: int) -> Any:
        """The writer, if there is one just now."""
        return self.ledger.leader.writer

    async def look(self) -> None:
        """One round of the job."""
        await self.ledger.writer()
        self.known.update(await latest_configs(self.pool))
        for month in await self.resets.months(0, 100):
            await self.resets.finish(month)


async def sweep(ledger: Ledger, limit: int = SWEEP_CHUNK) -> int:
    """One chunk of what is due; how much it was."""
    rows = await accounts_due(ledger.pool, list(range(PARTITIONS)), ledger.clock.now_us(), {}, limit)
    await asyncio.gather(*(ledger.do("sweep", row.user, key="") for row in rows))
    return len(rows)


async def told(ledger: Ledger) -> list[int]:
    """The numbers of every `reset_completed`."""
    rows = await ledger.pool.fetch("SELECT payload FROM events WHERE type = 'ledger.reset_completed.v1'")
    return [int(row["payload"].decode().rpartition(":")[2].rstrip("}")) for row in rows]


async def resets(ledger: Ledger) -> int:
    """How many accounts were reset, and each of them once."""
    rows = await ledger.pool.fetch(
        "SELECT user_id, count(*) AS times FROM events WHERE type = 'ledger.allowance_reset.v1' GROUP BY user_id"
    )
    assert {row["times"] for row in rows} <= {1}
    return len(rows)


async def begin(ledger: Ledger, users: int) -> None:
    """So many users who have spent something, and one whose months are its own."""
    ledger.clock.advance((us(datetime(2026, 1, 10, tzinfo=UTC)) - ledger.clock.now_us()) / 1_000_000)
    await ledger.configure(allowances=PLANS)
    await asyncio.gather(*(ledger.do("charge", f"user-{number}", amount=30) for number in range(users)))
    await ledger.do("account.plan", "own", plan="yearly")


def pass_month(ledger: Ledger) -> None:
    """It is the 1st, one second past midnight."""
    ledger.clock.advance((us(NEXT_MONTH) - ledger.clock.now_us()) / 1_000_000 + 1)


async def test_a9_everybody_is_reset_once_and_the_number_is_told(
    ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="services.ledger.resets")
    watch = Watch(ledger)
    await begin(ledger, USERS)
    await watch.look()
    assert await told(ledger) == [], "no month has ended"
    pass_month(ledger)
    await watch.look()
    assert await told(ledger) == [], "nobody has been reset"
    assert await sweep(ledger, 100) == 100
    # These find it due before any sweep does.
    await asyncio.gather(*(ledger.do("charge", f"user-{number}", amount=1) for number in range(USERS - 50, USERS)))
    while await sweep(ledger):
        pass
    for _ in range(3):
        await watch.look()

    assert sum(await told(ledger)) == USERS == await resets(ledger)
    assert len(await told(ledger)) == PARTITIONS
    lines = [record.getMessage() for record in caplog.records]
    assert lines == ["Monthly reset of coins started", f"Monthly reset completed for {USERS} users"]
    assert [str(each) for each in (await verify(ledger.dsn)).violations] == []


async def test_a9_a_process_that_comes_later_says_nothing_twice(ledger: Ledger) -> None:
    await begin(ledger, 20)
    pass_month(ledger)
    while await sweep(ledger):
        pass
    await Watch(ledger).look()
    await Watch(ledger).look()

    assert len(await told(ledger)) == PARTITIONS
    assert sum(await told(ledger)) == 20 == await resets(ledger)


async def test_a9_who_has_another_plan_since_is_counted_when_it_is_told_late(ledger: Ledger) -> None:
    """The month is told of when an account has been reset once more, by a plan of another kind."""
    await begin(ledger, 5)
    pass_month(ledger)
    await sweep(ledger)
    await ledger.do("account.plan", "user-1", plan="yearly", anchor=us(datetime(2026, 1, 20, tzinfo=UTC)))
    ledger.clock.advance(20 * 86_400)
    await sweep(ledger)
    await Watch(ledger).look()

    assert sum(await told(ledger)) == 5
    assert [str(each) for each in (await verify(ledger.dsn)).violations] == []


async def test_a9_a_crash_in_the_middle_skips_nobody_and_resets_nobody_twice(books: Database) -> None:
    """By a connection that is cut; `tests/chaos/test_resets.py` kills the process, with many more accounts."""
    users = 200
    async with ledger_on(books) as first:
        await first.configure()
        await begin(first, users)
        pass_month(first)
        month = first.clock.now_us()
        await sweep(first, users // 3)
        await Watch(first).look()
        assert await told(first) == [], "a part is not all"
        rows = await accounts_due(first.pool, list(range(PARTITIONS)), month, {}, users // 3)
        lost = [asyncio.ensure_future(first.do("sweep", row.user, key="")) for row in rows]
        await asyncio.sleep(0)
        # The writer's connection is cut under it, with a batch on its way, and the process ends.
        writer = await first.writer()
        writer.disconnect()
        for each in lost:
            each.cancel()
        await asyncio.gather(*lost, return_exceptions=True)
    async with ledger_on(books) as second:
        second.clock.advance((month - second.clock.now_us()) / 1_000_000)
        while await sweep(second):
            pass
        await Watch(second).look()
        assert sum(await told(second)) == users == await resets(second)
        assert len(await told(second)) == PARTITIONS


async def test_an_app_of_this_month_has_no_month_to_end(ledger: Ledger) -> None:
    pass_month(ledger)
    await ledger.configure(allowances=PLANS)
    await ledger.do("charge", "ann", amount=1)
    await Watch(ledger).look()

    assert await told(ledger) == []
    assert APP in await latest_configs(ledger.pool)
