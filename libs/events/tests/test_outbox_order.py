"""Whoever reads the outbox behind a number misses nothing, in whatever order transactions commit."""

from __future__ import annotations

import pytest

from libs.events.db import Pool
from libs.events.outbox import Cause, Outbox, OutboxLog
from libs.events.partition import partition_of
from libs.events.stamper import Stamper
from libs.events.tests.world import Counted

pytestmark = pytest.mark.anyio

TOPIC = "counter.events"
PARTITION = partition_of("coins", "ann", 4)


async def test_what_commits_late_is_read_late(pool: Pool) -> None:
    """I10: reader and writers interleave; a row's id says when it was inserted, its number when it was seen."""
    outbox, log, stamper = Outbox("counter", 4), OutboxLog("counter", pool), Stamper(pool)
    await stamper.take_over()
    read: list[tuple[int | None, str]] = []

    async def follow() -> None:
        await stamper.step()
        after = read[-1][0] or 0 if read else 0
        read.extend((event.seq, event.id) for event in await log.read(TOPIC, PARTITION, after, 10))

    async with pool.acquire() as slow, slow.transaction():
        late = await outbox.add(slow, Counted(number=1), app="coins", user="ann", cause=Cause())
        async with pool.acquire() as quick, quick.transaction():
            early = await outbox.add(quick, Counted(number=2), app="coins", user="ann", cause=Cause())
        await follow()
        assert read == [(1, early.id)]
    assert [event.seq for event in await log.read(TOPIC, PARTITION, 0, 10)] == [1], "without a number it is not told"
    await follow()
    assert read == [(1, early.id), (2, late.id)]
