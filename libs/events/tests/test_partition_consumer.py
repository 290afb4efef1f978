"""One partition of a consumer, given exactly what a broker might bring, without one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from libs.events.contracts.base import encode
from libs.events.db import Connection, Fenced, Pool
from libs.events.envelope import Envelope, Heartbeat
from libs.events.feed import FeedPage
from libs.events.handling import Handling, PassingError
from libs.events.log_source import Stream
from libs.events.partition_consumer import PartitionConsumer
from libs.events.tests.world import TIMES, Counted
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

SOURCE, TOPIC, PARTITION = "counter", "counter.events", 0
WITHIN_S = 10.0


def event(seq: int, stream: str = "one", number: int | None = None) -> Envelope:
    """The event `seq` of a stream; it counts its own number unless another is given."""
    return Envelope(
        id=f"event_{stream}_{seq}",
        source=SOURCE,
        type="counter.counted.v1",
        time_us=1,
        subject="ann",
        app="coins",
        data=encode(Counted(number=seq if number is None else number)),
        stream=stream,
        seq=seq,
        prevseq=seq - 1,
    )


@dataclass
class Source:
    """A source's log, which its feed shows; what of it reaches the consumer by Kafka is a test's own choice."""

    events: list[Envelope] = field(default_factory=list)
    streams: list[Stream] = field(default_factory=lambda: [Stream("one", 0)])

    async def read(self, topic: str, partition: int, after: int, limit: int = 500) -> FeedPage:
        """See `Feed.read`."""
        assert (topic, partition) == (TOPIC, PARTITION)
        return FeedPage(len(self.events), self.streams, self.events[after : after + limit])

    def tell(self, count: int) -> list[Envelope]:
        """So many more events of the present stream."""
        stream, last = self.streams[-1].stream, len(self.events)
        new = [event(last + number + 1, stream) for number in range(count)]
        self.events += new
        return new

    def restore(self, seq: int) -> None:
        """Lose what came after `seq`; a new stream begins."""
        del self.events[seq:]
        self.streams.append(Stream("two", seq))


@dataclass
class Diary:
    """The consumer's effects: one row each."""

    pool: Pool
    refuse: Callable[[int], None] = lambda _: None
    before: Callable[[], Awaitable[None]] | None = None

    async def note(self, connection: Connection, envelope: Envelope, counted: Any) -> None:
        """The handler."""
        if self.before is not None:
            await self.before()
        self.refuse(counted.number)
        await connection.execute(
            "INSERT INTO diary (number, event_id, seq, partition) VALUES ($1, $2, $3, 0)",
            counted.number,
            envelope.id,
            envelope.seq,
        )

    async def undo(self, connection: Connection, _source: str, _topic: str, _partition: int, forked_at: int) -> None:
        """What is to be undone after a restore of the source."""
        await connection.execute("DELETE FROM diary WHERE seq > $1", forked_at)

    async def ids(self) -> list[str]:
        """What took effect, in order."""
        return [row["event_id"] for row in await self.pool.fetch("SELECT event_id FROM diary ORDER BY place")]

    async def checkpoint(self) -> int:
        """How far it says that it has come."""
        return await self.pool.fetchval("SELECT seq FROM consumer_checkpoints") or 0

    def consumer(self, source: Source) -> PartitionConsumer:
        """A consumer whose silences last for ever."""
        return PartitionConsumer(
            Handling("diary", self.pool, {"counter.counted.v1": self.note}, (), None),
            source=SOURCE,
            topic=TOPIC,
            partition=PARTITION,
            feed=source,
            rebuild=self.undo,
            times=replace(TIMES, silence_s=600),
        )


@asynccontextmanager
async def following(consumer: PartitionConsumer, *items: Envelope | Heartbeat) -> AsyncIterator[None]:
    """The consumer at work on what Kafka brings, until the block ends."""
    for item in items:
        consumer.put(item, 100)
    task = asyncio.create_task(consumer.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def diary(pool: Pool) -> Diary:
    return Diary(pool)


async def until(diary: Diary, ids: list[str]) -> None:
    """Wait until at least so much has taken effect; it must be exactly this."""

    async def enough() -> bool:
        return len(await diary.ids()) >= len(ids)

    await eventually(enough, deadline_s=WITHIN_S)
    assert await diary.ids() == ids


def ids(events: list[Envelope]) -> list[str]:
    return [one.id for one in events]


async def test_a_gap_is_read_from_the_feed_before_what_follows_it(diary: Diary) -> None:
    """I10, C16: what the broker lost takes effect in its place."""
    source = Source()
    told = source.tell(9)
    async with following(diary.consumer(source), *told[:3], told[6], told[8]):
        await until(diary, ids(told))
    assert await diary.checkpoint() == 9


async def test_repeats_and_stragglers_do_nothing(diary: Diary) -> None:
    """C7: what was published again is dropped by its number."""
    source = Source()
    told = source.tell(5)
    late = source.tell(1)
    async with following(diary.consumer(source), *told, *told, told[1], told[4], told[0], *late):
        await until(diary, ids([*told, *late]))


async def test_a_heartbeat_tells_of_what_was_lost_last(diary: Diary) -> None:
    source = Source()
    told = source.tell(4)
    async with following(diary.consumer(source), *told[:2], Heartbeat(SOURCE, "one", 4, 1)):
        await until(diary, ids(told))


async def test_an_effect_that_was_rolled_back_has_moved_no_checkpoint(diary: Diary) -> None:
    """C9: effect and checkpoint are one transaction, so whoever takes over does what was not done."""
    source = Source()
    told = source.tell(3)
    tries = 0

    def refuse(number: int) -> None:
        nonlocal tries
        if number == 3:
            tries += 1
            raise PassingError("not now")

    async def tried() -> bool:
        query = "SELECT max(seq) AS reached, (SELECT count(*) FROM diary) AS done FROM consumer_checkpoints"
        row = await diary.pool.fetchrow(query)
        assert row is not None and (row["reached"] or 0) == row["done"]
        return tries >= 4

    diary.refuse = refuse
    async with following(diary.consumer(source), *told):
        await eventually(tried, deadline_s=WITHIN_S)
    diary.refuse = lambda _: None
    async with following(diary.consumer(source), *told):
        await until(diary, ids(told))


async def test_a_consumer_that_was_overtaken_stops_without_an_effect(diary: Diary) -> None:
    """I10: of two that hold the same partition, the slower one's effect is undone with its checkpoint."""
    source = Source()
    told = source.tell(4)
    entered, go_on = asyncio.Event(), asyncio.Event()

    async def pause() -> None:
        entered.set()
        await go_on.wait()

    slow = Diary(diary.pool, before=pause)
    consumer = slow.consumer(source)
    for one in told:
        consumer.put(one, 100)
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(WITHIN_S):
        await entered.wait()
        async with following(diary.consumer(source), *told):
            await until(diary, ids(told))
        go_on.set()
        with pytest.raises(Fenced):
            await running
    assert await diary.ids() == ids(told)


async def test_a_new_stream_is_followed_from_where_it_left_the_old_one(diary: Diary) -> None:
    """I10: a source restored from a backup gives numbers out again; what came after the fork is undone first."""
    source = Source()
    old = source.tell(5)
    async with following(diary.consumer(source), *old):
        await until(diary, ids(old))
    source.restore(3)
    new = source.tell(3)
    async with following(diary.consumer(source), *new):

        async def switched() -> bool:
            return await diary.ids() == ids([*old[:3], *new])

        await eventually(switched, deadline_s=WITHIN_S)
    # A late message of the lost time line, under a number that would fit.
    async with following(diary.consumer(source), event(7, "one"), *source.tell(1)):
        await until(diary, ids([*old[:3], *source.events[3:]]))


async def test_what_can_never_succeed_is_kept_and_holds_nothing_up(diary: Diary) -> None:
    source = Source()
    told = source.tell(4)

    def refuse(number: int) -> None:
        if number == 2:
            raise KeyError("a bug")

    diary.refuse = refuse
    async with following(diary.consumer(source), *told):
        await until(diary, [one.id for one in told if one.seq != 2])
    letters = await diary.pool.fetch("SELECT message_id, seq, reason FROM dead_letters")
    assert [tuple(letter) for letter in letters] == [(told[1].id, 2, "handler_failed")]
