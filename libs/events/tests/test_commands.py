"""Commands between two services: answered once, however often and wherever they travel."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from libs.events.bus import Message
from libs.events.command_reader import CommandBatch, CommandReader
from libs.events.commands import Republisher, recorded_outcome
from libs.events.envelope import Envelope, InvalidMessage, to_headers
from libs.events.metrics import COMMANDS_OVERDUE
from libs.events.partition import partition_key
from libs.events.tests.world import PARTITIONS, World
from tests.waiting import beside, eventually

pytestmark = pytest.mark.anyio


async def _answered(world: World, count: int) -> bool:
    return bool(await world.diary.fetchval("SELECT count(answered_at) FROM sent_commands") == count)


async def test_a_sender_hears_the_outcome_of_its_command(restartable_world: World) -> None:
    world = restartable_world
    answers = world.answers()
    parts = [world.stamper().run(), world.relay().run(), world.obey(), answers.run(), world.consumer().run()]
    async with beside(*parts, *world.asking_parts()):
        command = await world.ask(1)
        outcome = await answers.outcome(command, 30)
        assert (outcome.type, outcome.data) == ("counter.counted.v1", b'{"number":1}')
        await eventually(lambda: _answered(world, 1))
        assert await recorded_outcome(world.diary, command) == outcome
    with pytest.raises(TimeoutError):
        await answers.outcome("command_unknown", 0.2)


async def test_commands_sent_again_are_answered_once(restartable_world: World) -> None:
    world = restartable_world
    parts = [world.stamper().run(), world.relay().run(), world.consumer().run(), *world.asking_parts()]
    async with beside(*parts):
        for number in range(30):
            await world.ask(number, republish_after_s=0.05)
        await eventually(lambda: _attempts(world, 3))
        async with beside(world.obey()):
            await eventually(lambda: _answered(world, 30))
            await eventually(lambda: world.has_noted(range(30)))
    assert await world.counter.fetchval("SELECT count(*) FROM outbox") == 30


async def _attempts(world: World, count: int) -> bool:
    return bool(await world.diary.fetchval("SELECT min(attempts) FROM sent_commands") >= count)


async def test_a_command_without_outcome_raises_the_alarm(restartable_world: World) -> None:
    world = restartable_world
    republisher = Republisher(world.diary, world.bus, "diary", alarm_after_s=0.05)
    await world.ask(1)
    await asyncio.sleep(0)
    await eventually(lambda: _overdue(republisher, 1))


async def _overdue(republisher: Republisher, count: int) -> bool:
    await republisher.step()
    return bool(COMMANDS_OVERDUE.labels("diary")._value.get() == count)


async def test_what_is_no_command_for_a_partition_is_named(restartable_world: World) -> None:
    world = restartable_world
    command = Envelope("c1", "diary", "counter.count.v1", 1, "one", "coins", b'{"number":1}', idempotency_key="k")
    home = world.partition("one")
    good = Message(command.key, command.data, to_headers(command))
    await world.bus.publish(world.commands, (home + 1) % PARTITIONS, [good])
    await world.bus.publish(
        world.commands,
        home,
        [Message(partition_key("coins", "two"), command.data, to_headers(command)), Message(None, b"?", []), good],
    )
    seen: dict[int, list[str]] = {}
    async with contextlib.aclosing(_reader(world, {}).batches()) as batches:
        async for batch in batches:
            seen[batch.partition] = [_describe(item) for _, item in batch.items]
            if len(seen) == 2:
                break
    assert seen == {(home + 1) % PARTITIONS: ["misrouted c1"], home: ["misrouted c1", "missing_attribute None", "c1"]}


def _describe(item: Envelope | InvalidMessage) -> str:
    return item.id if isinstance(item, Envelope) else f"{item.reason} {item.message_id}"


def _reader(world: World, cursors: dict[int, int]) -> CommandReader:
    async def known(_: str) -> dict[int, int]:
        return cursors

    return CommandReader(world.bus, world.commands, range(PARTITIONS), PARTITIONS, known)


@pytest.mark.parametrize(("cursor", "offsets"), [(3, [3, 4]), (5, []), (9, [0, 1, 2, 3, 4]), (None, [0, 1, 2, 3, 4])])
async def test_reading_goes_on_at_the_cursor(restartable_world: World, cursor: int | None, offsets: list[int]) -> None:
    world = restartable_world
    command = Envelope("c1", "diary", "counter.count.v1", 1, "one", "coins", b'{"number":1}', idempotency_key="k")
    home = world.partition("one")
    message = Message(command.key, command.data, to_headers(command))
    await world.bus.publish(world.commands, home, [message] * 5)
    async with contextlib.aclosing(_reader(world, {} if cursor is None else {home: cursor}).batches()) as batches:
        if not offsets:
            reading = asyncio.ensure_future(anext(batches))
            await asyncio.wait({reading}, timeout=0.5)
            await world.bus.publish(world.commands, home, [message])
            assert [offset for offset, _ in (await reading).items] == [5]
            return
        seen: list[int] = []
        while len(seen) < len(offsets):
            batch: CommandBatch = await anext(batches)
            seen += [offset for offset, _ in batch.items]
        assert seen == offsets
        assert batch.next_offset == 5
