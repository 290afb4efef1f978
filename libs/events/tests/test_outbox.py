"""The outbox is numbered once, without gaps, in the order of commits."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import asyncpg
import orjson
import pytest

from libs.events.bus import Bus, BusUnavailable, Message
from libs.events.contracts.base import Contract
from libs.events.db import Fenced, Pool
from libs.events.feed import LIMIT_MAX, render_feed
from libs.events.metrics import RELAY_LAG, RELAY_OLDEST
from libs.events.outbox import DATA_BYTES_MAX, Cause, Outbox, OutboxLog, renew_stream
from libs.events.relay import Relay
from libs.events.stamper import Stamper
from libs.events.tests.world import Count, Counted
from libs.service.db import connect
from tests.plugins.postgres import Database
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

TOPIC = "counter.events"


async def _add(pool: Pool, *messages: Contract, user: str = "one") -> None:
    outbox = Outbox("counter", 4, clock=lambda: 1_700_000_000_000_000)
    async with pool.acquire() as connection, connection.transaction():
        for message in messages:
            await outbox.add(connection, message, app="coins", user=user, cause=Cause())


async def _numbers(pool: Pool) -> list[tuple[int, int, int]]:
    rows = await pool.fetch("SELECT data, prevseq, seq FROM outbox WHERE seq IS NOT NULL ORDER BY seq")
    return [(orjson.loads(row["data"])["number"], row["prevseq"], row["seq"]) for row in rows]


async def test_interleaved_transactions_are_numbered_as_they_commit(pool: Pool) -> None:
    """A row inserted first but committed last gets the later number: no reader of numbers can ever miss it."""
    outbox = Outbox("counter", 4)
    stamper = Stamper(pool)
    await stamper.take_over()
    async with pool.acquire() as slow, slow.transaction():
        await outbox.add(slow, Counted(number=1), app="coins", user="one", cause=Cause())
        await _add(pool, Counted(number=2))
        assert await stamper.step() == 1
        assert await _numbers(pool) == [(2, 0, 1)]
    assert await stamper.step() == 1
    assert await _numbers(pool) == [(2, 0, 1), (1, 1, 2)]
    assert await stamper.step() == 0


async def test_what_was_rolled_back_leaves_no_gap(pool: Pool) -> None:
    await _add(pool, Counted(number=1))
    with pytest.raises(ZeroDivisionError):
        async with pool.acquire() as connection, connection.transaction():
            await Outbox("counter", 4).add(connection, Counted(number=2), app="coins", user="one", cause=Cause())
            _ = 1 / 0
    await _add(pool, Counted(number=3))
    stamper = Stamper(pool, batch=1)
    await stamper.take_over()
    assert [await stamper.step(), await stamper.step()] == [1, 1]
    assert await _numbers(pool) == [(1, 0, 1), (3, 1, 2)]


async def test_a_stamper_that_was_replaced_numbers_nothing(pool: Pool) -> None:
    old, new = Stamper(pool), Stamper(pool)
    await old.take_over()
    await new.take_over()
    await _add(pool, Counted(number=1))
    with pytest.raises(Fenced):
        await old.step()
    assert await _numbers(pool) == []
    assert await new.step() == 1


async def test_stampers_that_compete_number_everything_once(pool: Pool) -> None:
    async def stamp() -> None:
        while True:
            stamper = Stamper(pool, poll_s=0.001, batch=7)
            try:
                await stamper.run()
            except Fenced:
                await asyncio.sleep(0.01)

    rivals = [asyncio.create_task(stamp()) for _ in range(3)]
    for number in range(100):
        await _add(pool, Counted(number=number))
    await eventually(lambda: _all_numbered(pool, 100))
    for rival in rivals:
        rival.cancel()
    await asyncio.gather(*rivals, return_exceptions=True)
    assert [seq for _, _, seq in await _numbers(pool)] == list(range(1, 101))
    assert all(prevseq == seq - 1 for _, prevseq, seq in await _numbers(pool))


async def _all_numbered(pool: Pool, count: int) -> bool:
    return len(await _numbers(pool)) == count


async def test_the_runtime_role_cannot_change_what_it_has_written(pool: Pool) -> None:
    await _add(pool, Counted(number=1))
    for statement in ("UPDATE outbox SET data = ''", "DELETE FROM outbox", "DELETE FROM dead_letters"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await pool.execute(statement)


async def test_a_message_that_is_too_large_is_refused_at_once(pool: Pool) -> None:
    with pytest.raises(ValueError, match="more than"):
        await _add(pool, Counted(number=1, padding="x" * DATA_BYTES_MAX))


async def begin_new_stream(database: Database) -> str:
    """What a restore does at its end."""
    owner = await connect(database.owner_dsn, application_name="restore")
    try:
        return await renew_stream(owner)
    finally:
        await owner.close()


async def test_the_feed_tells_pages_head_and_streams(pool: Pool, messaging_database: Database) -> None:
    log = OutboxLog("counter", pool)
    stamper = Stamper(pool)
    await stamper.take_over()
    await _add(pool, *[Counted(number=number) for number in range(5)])
    await stamper.step()
    ((_, partition),) = (await log.heads()).keys()
    page = orjson.loads(await render_feed(log, TOPIC, partition, 1, 2))
    assert (page["source"], page["topic"], page["partition"], page["head"]) == ("counter", TOPIC, partition, 5)
    assert [(event["seq"], event["data"]["number"]) for event in page["events"]] == [(2, 1), (3, 2)]
    (first,) = page["streams"]
    assert first == {"stream": page["stream"], "forked_at": 0}
    second = await begin_new_stream(messaging_database)
    await _add(pool, Counted(number=5))
    await stamper.step()
    page = orjson.loads(await render_feed(log, TOPIC, partition, 4, LIMIT_MAX + 1))
    assert page["streams"] == [first, {"stream": second, "forked_at": 5}]
    assert [(event["seq"], event["stream"]) for event in page["events"]] == [(5, second), (6, second)]
    empty = orjson.loads(await render_feed(log, TOPIC, (partition + 1) % 4, 0, 10))
    assert (empty["head"], empty["events"]) == (0, [])


class _FlakyBus(Bus):
    """A broker that acknowledges some messages of a batch and dies."""

    def __init__(self, acknowledges: int) -> None:
        super().__init__("127.0.0.1:1", {})
        self.acknowledges = acknowledges
        self.published: list[Message] = []

    async def publish(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        self.published += messages
        if len(messages) > self.acknowledges:
            raise BusUnavailable("died", self.acknowledges)


async def test_only_the_acknowledged_prefix_moves_the_checkpoint(pool: Pool) -> None:
    stamper = Stamper(pool)
    await stamper.take_over()
    await _add(pool, *[Counted(number=number) for number in range(10)])
    await stamper.step()
    bus = _FlakyBus(acknowledges=4)
    relay = Relay(OutboxLog("counter", pool), pool, bus, {TOPIC: 4})
    await relay.load()
    with pytest.raises(BusUnavailable):
        await relay.step()
    assert await pool.fetchval("SELECT max(seq) FROM relay_checkpoints") == 4
    assert RELAY_LAG._value.get() == 6
    assert RELAY_OLDEST._value.get() == 1_700_000_000
    bus.acknowledges = 10
    bus.published.clear()
    await relay.step()
    events = [message for message in bus.published if message.key is not None]
    assert [orjson.loads(event.value)["number"] for event in events] == [4, 5, 6, 7, 8, 9]
    assert (RELAY_LAG._value.get(), RELAY_OLDEST._value.get()) == (0, 0)


async def test_commands_travel_without_numbers_and_heartbeats(pool: Pool) -> None:
    stamper = Stamper(pool)
    await stamper.take_over()
    await _add(pool, Count(number=1))
    await stamper.step()
    bus = _FlakyBus(acknowledges=10)
    relay = Relay(OutboxLog("diary", pool), pool, bus, {"counter.commands": 4})
    await relay.load()
    await relay.step()
    (command,) = bus.published
    names = {name for name, _ in command.headers}
    assert "ce_id" in names
    assert not names & {"ce_stream", "ce_seq", "ce_prevseq"}
