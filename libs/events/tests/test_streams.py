"""A source that was restored from a backup begins a new stream; consumers go back to where it left the old one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from libs.events.bus import Message
from libs.events.envelope import Envelope, to_headers
from libs.events.relay import LogBehindError
from libs.events.tests.world import World
from tests.waiting import beside, eventually

pytestmark = pytest.mark.anyio


async def test_a_consumer_that_had_less_than_the_fork_just_goes_on(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(5), user="one")
        await eventually(lambda: world.has_noted(range(5)))
    await world.restore(5)
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(5, 10), user="one")
        await eventually(lambda: world.has_noted(range(10)))
    assert world.rebuilt == []


async def test_a_consumer_that_had_more_than_the_fork_rebuilds_what_came_after(world: World) -> None:
    async with beside(world.consumer().run()):
        async with beside(world.stamper().run(), world.relay().run()):
            await world.count([*range(5), 100, 101], user="one")
            await eventually(lambda: _noted(world, [*range(5), 100, 101]))
        old = (await world.feed.read(world.events, world.partition("one"), 6)).events[0]
        await world.restore(5)
        async with beside(world.stamper().run(), world.relay().run()):
            await world.count(range(5, 10), user="one")
            await eventually(lambda: world.has_noted(range(10)))
            assert world.rebuilt == [(world.partition("one"), 5)]
            # A late message of the lost time line is told by its stream.
            late = [_renumbered(old, seq) for seq in (7, 11)]
            await world.bus.publish(world.events, world.partition("one"), late)
            await world.count(range(10, 12), user="one")
            await eventually(lambda: world.has_noted(range(12)))
    assert world.rebuilt == [(world.partition("one"), 5)]


def _renumbered(event: Envelope, seq: int) -> Message:
    event = replace(event, seq=seq, prevseq=seq - 1)
    return Message(event.key, event.data, to_headers(event))


async def _noted(world: World, numbers: list[int]) -> bool:
    return await world.noted() == numbers


async def test_a_relay_refuses_a_log_that_is_behind_what_kafka_has_seen(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count(range(5), user="one")
        # The consumer may have heard from the feed before Kafka did.
        await eventually(world.all_published)
    await world.restore(3, renew=False)
    with pytest.raises(LogBehindError, match="ends at 3, Kafka has seen 5"):
        await world.relay().run()


async def test_a_consumer_that_was_away_for_several_restores_finds_the_earliest_fork(world: World) -> None:
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await world.count([*range(3), 100, 101, 102], user="one")
        await eventually(lambda: _noted(world, [*range(3), 100, 101, 102]))
    await world.restore(3)
    async with beside(world.stamper().run(), world.relay().run()):
        await world.count(range(200, 204), user="one")
        await eventually(lambda: world.all_numbered(7))
    await world.restore(5)
    async with beside(world.stamper().run(), world.relay().run(), world.consumer().run()):
        await eventually(lambda: _noted(world, [*range(3), 200, 201]))
    assert world.rebuilt == [(world.partition("one"), 3)]
