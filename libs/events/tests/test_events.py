"""The behaviour of events between two services, on the embedded broker and on Apache Kafka alike."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from libs.events.bus import Bus, BusUnavailable, Message, TopicPartition
from libs.events.consumer import PassingError
from libs.events.db import Fenced
from libs.events.dead_letters import list_dead_letters, request_replay
from libs.events.envelope import Envelope, from_record, to_headers
from libs.events.metrics import CONSUMER_DUPLICATES, CONSUMER_GAPS
from libs.events.tests.world import PARTITIONS, TIMES, World, poison
from tests.plugins.kafka import Broker
from tests.waiting import beside, eventually

pytestmark = pytest.mark.anyio


def _value(counter: object) -> float:
    return float(counter._value.get())  # type: ignore[attr-defined]


async def test_topics_that_are_missing_are_made(broker: Broker) -> None:
    topic = f"made{secrets.token_hex(4)}.events"
    async with Bus(broker.bootstrap, {topic: 3}) as bus:
        if broker.kind == "embedded":
            with pytest.raises(BusUnavailable, match="makes none"):
                await bus.cluster_id()
        else:
            await bus.publish(topic, 2, [Message(b"key", b"{}", [])])
            assert await bus.end_offsets(topic, [0, 1, 2]) == {0: 0, 1: 0, 2: 1}


async def test_messages_keep_their_order_and_arrive_once(world: World) -> None:
    messages = [Message(b"key", b'{"number":%d}' % number, []) for number in range(5000)]
    await world.bus.publish(world.events, 1, messages)
    place = TopicPartition(world.events, 1)
    reader = await world.bus.reader({place: "beginning"})
    seen: list[bytes] = []
    while len(seen) < len(messages):
        seen += [record.value for record in (await reader.fetch()).get(place, [])]
    await reader.close()
    assert seen == [message.value for message in messages]
    assert await world.bus.end_offsets(world.events, [0, 1]) == {0: 0, 1: 5000}


async def test_every_event_takes_effect_once_and_in_order(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(300))
        await eventually(lambda: world.has_noted(range(300)))
    places = await world.diary.fetch("SELECT partition, seq FROM diary ORDER BY partition, place")
    assert [tuple(row) for row in places] == sorted(tuple(row) for row in places)


@contextlib.asynccontextmanager
async def _listening(world: World) -> AsyncIterator[None]:
    """A consumer that has caught up and reads Kafka, and asks the feed again only if a message gives it a reason."""
    await world.bus.cluster_id()
    async with beside(world.stamper().run(), world.consumer(replace(TIMES, silence_s=60)).run()):
        # Once for the checkpoint, once when the reader has its place.
        await eventually(lambda: _asked(world, 2 * PARTITIONS))
        yield


async def test_a_gap_is_filled_from_the_feed(world: World) -> None:
    gaps = _value(CONSUMER_GAPS)
    async with _listening(world):
        await world.count(range(40), user="one")
        async with beside(world.relay().run()):
            await eventually(lambda: world.has_noted(range(40)))
        # The broker loses twenty events: the relay believes that they were acknowledged.
        await world.count(range(40, 60), user="one")
        await eventually(lambda: world.all_numbered(60))
        await world.counter.execute("UPDATE relay_checkpoints SET seq = 60 WHERE seq = 40")
        await world.count(range(60, 70), user="one")
        async with beside(world.relay(heartbeat_s=60).run()):
            await eventually(lambda: world.has_noted(range(70)))
    assert _value(CONSUMER_GAPS) > gaps


async def test_a_heartbeat_tells_of_events_that_the_broker_lost_last(world: World) -> None:
    async with _listening(world):
        async with beside(world.relay().run()):
            await world.count(range(1), user="one")
            await eventually(lambda: world.has_noted(range(1)))
        await world.count(range(1, 5), user="one")
        await eventually(lambda: world.all_numbered(5))
        await world.counter.execute("UPDATE relay_checkpoints SET seq = 5 WHERE seq = 1")
        async with beside(world.relay().run()):
            await eventually(lambda: world.has_noted(range(5)))


async def test_silence_makes_a_consumer_ask_the_feed(world: World) -> None:
    async with beside(world.stamper().run(), world.consumer().run()):
        await eventually(lambda: _asked(world, PARTITIONS))
        await world.count(range(20))
        await eventually(lambda: world.has_noted(range(20)))


async def _asked(world: World, requests: int) -> bool:
    return world.feed_requests >= requests


async def test_without_a_feed_what_kafka_brings_in_order_still_takes_effect(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run()):
        async with beside(world.consumer().run()):
            await world.count(range(10))
            await eventually(lambda: world.has_noted(range(10)))
        world.feed_open = False
        asked = world.feed_requests
        async with beside(world.consumer(replace(TIMES, silence_s=60)).run()):
            await eventually(lambda: _asked(world, asked + PARTITIONS))
            await world.count(range(10, 20))
            await eventually(lambda: world.has_noted(range(20)))


async def test_a_consumer_that_starts_from_nothing_gets_everything(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run()):
        await world.count(range(100))
        await eventually(world.all_published)
        async with beside(world.consumer().run()):
            await eventually(lambda: world.has_noted(range(100)))


async def test_events_published_again_are_dropped(world: World) -> None:
    duplicates = _value(CONSUMER_DUPLICATES)
    async with beside(world.stamper().run(), world.consumer().run()):
        async with beside(world.relay().run()):
            await world.count(range(50))
            await eventually(lambda: world.has_noted(range(50)))
        await world.counter.execute("UPDATE relay_checkpoints SET seq = 0")
        async with beside(world.relay().run()):
            await world.count(range(50, 60))
            await eventually(lambda: world.has_noted(range(60)))
            await eventually(lambda: _dropped(duplicates + 50))
    assert await world.has_noted(range(60))


async def _dropped(count: float) -> bool:
    return _value(CONSUMER_DUPLICATES) >= count


async def test_poison_becomes_a_dead_letter_and_can_be_replayed(world: World) -> None:
    world.refuse = poison({5, 7})
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(20), user="one")
        good = [number for number in range(20) if number not in {5, 7}]
        await eventually(lambda: _noted_list(world, good))
        letters = await list_dead_letters(world.diary, consumer=world.name)
        assert [(letter.seq, letter.reason, letter.detail) for letter in letters] == [
            (6, "unlucky", "5 is not wanted"),
            (8, "unlucky", "7 is not wanted"),
        ]
        world.refuse = poison({7})
        for letter in letters:
            assert await request_replay(world.diary, letter.id)
        await eventually(lambda: _open_letters(world, 1))
        await eventually(lambda: _noted_list(world, sorted([*good, 5])))
    copies = await world.diary.fetch("SELECT topic, type FROM outbox")
    assert {tuple(copy) for copy in copies} == {(f"{world.name}.dead", "tallystick.dead_lettered.v1")}
    assert len(copies) == 2


async def _noted_list(world: World, numbers: list[int]) -> bool:
    return await world.noted() == numbers


async def _open_letters(world: World, count: int) -> bool:
    letters = await list_dead_letters(world.diary, consumer=world.name)
    return len(letters) == count and all(letter.replay_requested_at is None for letter in letters)


async def test_an_error_that_does_not_pass_becomes_a_dead_letter(world: World) -> None:
    def break_down(number: int) -> None:
        if number == 3:
            raise KeyError("a bug")

    world.refuse = break_down
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(6), user="one")
        await eventually(lambda: _noted_list(world, [0, 1, 2, 4, 5]))
    (letter,) = await list_dead_letters(world.diary)
    assert (letter.reason, letter.detail) == ("handler_failed", "KeyError('a bug')")


async def test_a_passing_error_holds_only_its_partition(world: World) -> None:
    broken = asyncio.Event()

    def break_down(number: int) -> None:
        if number == 1000 and not broken.is_set():
            raise PassingError("not now")

    world.refuse = break_down
    held = world.partition("held")
    free = [number for number in range(50) if world.partition(f"user{number}") != held]
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(1000, 1002), user="held")
        for number in free:
            await world.count(range(number, number + 1))
        await eventually(lambda: _noted_list(world, free))
        broken.set()
        await eventually(lambda: _noted_list(world, [*free, 1000, 1001]))
    assert await list_dead_letters(world.diary) == []


async def test_records_that_are_no_messages_are_kept_and_hinder_nothing(world: World) -> None:
    foreign = Envelope("x", "counter", "counter.counted.v1", 1, "one", "coins", b"not json", stream="?", seq=1)
    rubbish = [
        Message(b"?", b"not json", []),
        Message(b"?", b"{}", [("ce_id", b"half"), ("ce_specversion", b"1.0"), ("content-type", b"text/html")]),
        Message(foreign.key, foreign.data, to_headers(foreign)),
    ]
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(3), user="one")
        await eventually(lambda: world.has_noted(range(3)))
        await world.bus.publish(world.events, world.partition("one"), rubbish)
        await world.count(range(3, 6), user="one")
        await eventually(lambda: world.has_noted(range(6)))
        await eventually(lambda: _open_letters(world, 2))
    letters = await list_dead_letters(world.diary)
    assert [(letter.reason, letter.message_id) for letter in letters] == [
        ("missing_attribute", None),
        ("invalid_content_type", "half"),
    ]


async def test_an_event_that_breaks_its_contract_is_a_dead_letter(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(2), user="one")
        await world.counter.execute(
            "INSERT INTO outbox (topic, partition, message_id, type, app, subject, time_us, data)"
            " VALUES ($1, $2, 'bad', 'counter.counted.v1', 'coins', 'one', 1, '{\"number\": \"many\"}')",
            world.events,
            world.partition("one"),
        )
        await world.count(range(2, 4), user="one")
        await eventually(lambda: world.has_noted(range(4)))
    (letter,) = await list_dead_letters(world.diary)
    assert (letter.message_id, letter.reason, letter.seq) == ("bad", "invalid_payload", 3)


async def test_a_consumer_slower_than_the_brokers_memory_loses_nothing(world: World) -> None:
    world.handled = asyncio.Semaphore(10)
    times = replace(TIMES, buffer_bytes=200_000)
    async with beside(world.stamper().run(), world.relay().run(), world.consumer(times).run()):
        # 12 MB into one partition, of which the embedded broker keeps the last 5.
        await world.count(range(200), user="one", padding="x" * 60_000)
        await eventually(world.all_published)
        for _ in range(10_000):
            world.handled.release()
        await eventually(lambda: world.has_noted(range(200)))


async def test_of_two_consumers_the_slower_stops_and_nothing_happens_twice(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run()):
        consumers = [asyncio.create_task(world.consumer().run()) for _ in range(2)]
        await world.count(range(100))
        await _one_is_fenced(consumers)
        async with beside(world.consumer().run()):
            await eventually(lambda: world.has_noted(range(100)))


async def test_of_two_relays_the_slower_stops_and_nothing_happens_twice(world: World) -> None:
    async with beside(world.stamper().run(), world.consumer().run()):
        relays = [asyncio.create_task(world.relay().run()) for _ in range(2)]
        await world.count(range(100))
        await _one_is_fenced(relays)
        async with beside(world.relay().run()):
            await eventually(lambda: world.has_noted(range(100)))


async def _one_is_fenced(rivals: list[asyncio.Task[None]]) -> None:
    """Each may be the slower one in some partition, so both may stop."""
    done, left = await asyncio.wait(rivals, return_when=asyncio.FIRST_COMPLETED, timeout=30)
    assert done
    for rival in left:
        rival.cancel()
    results = await asyncio.gather(*rivals, return_exceptions=True)
    assert any(isinstance(result, Fenced) for result in results)
    assert all(isinstance(result, Fenced | asyncio.CancelledError) for result in results)


async def test_published_events_carry_the_whole_envelope(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run()):
        await world.count(range(2), user="one")
        await eventually(world.all_published)
    place = TopicPartition(world.events, world.partition("one"))
    reader = await world.bus.reader({place: "beginning"})
    seen: list[Envelope] = []
    while len(seen) < 2:
        for record in (await reader.fetch()).get(place, []):
            message = from_record(record.headers, record.value)
            if isinstance(message, Envelope):
                assert record.key == b"coins\x1fone"
                seen.append(message)
    await reader.close()
    page = await world.feed.read(world.events, place.partition, 0)
    assert list(page.events) == seen
    assert [(event.seq, event.prevseq, event.source) for event in seen] == [(1, 0, world.source), (2, 1, world.source)]
