"""The trials that count: the broker dies at any moment and comes back empty, or the processes around it do.

In the end every consumer has had every event exactly once, and every command has one outcome.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from libs.events.tests.world import World
from tests.waiting import beside, eventually

pytestmark = pytest.mark.anyio

NUMBERS = 200
DEATHS = {"embedded": 6, "kafka": 2}


@pytest.mark.parametrize("seed", [4, 5])
async def test_nothing_is_lost_or_doubled_when_processes_die(restartable_world: World, seed: int) -> None:
    world = restartable_world
    chance = random.Random(seed)  # noqa: S311
    commands: list[str] = []

    async def life(make: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Live for a moment, die anywhere, come back."""
        while True:
            part = asyncio.create_task(make())
            try:
                await asyncio.wait({part}, timeout=chance.uniform(0.05, 0.6))
            finally:
                part.cancel()
                await asyncio.wait({part})
            if not part.cancelled():
                part.result()

    lives = [
        *[lambda made=made: made().run() for made in (world.stamper, world.relay, world.consumer)],
        world.obey,
        *[lambda number=number: _only(world.asking_parts(), number) for number in range(3)],
    ]
    async with beside(*[life(make) for make in lives]):
        for number in range(NUMBERS):
            commands.append(await world.ask(number))
            await world.count(range(NUMBERS + number, NUMBERS + number + 1))
        await eventually(lambda: world.has_noted(range(2 * NUMBERS)))
        await eventually(lambda: _all_answered(world))
    caused = await world.counter.fetch("SELECT causation_id, count(*) FROM outbox GROUP BY causation_id")
    assert {row["causation_id"]: row["count"] for row in caused} == dict.fromkeys(commands, 1) | {None: NUMBERS}


async def _only(parts: list[Coroutine[Any, Any, None]], chosen: int) -> None:
    for number, part in enumerate(parts):
        if number != chosen:
            part.close()
    await parts[chosen]


async def _all_answered(world: World) -> bool:
    return not await world.diary.fetchval("SELECT count(*) FROM sent_commands WHERE answered_at IS NULL")


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_nothing_is_lost_or_doubled_when_the_broker_dies(restartable_world: World, seed: int) -> None:
    world = restartable_world
    broker = world.broker
    assert broker is not None
    chance = random.Random(seed)  # noqa: S311
    commands: list[str] = []
    answers = world.answers()

    async def ask() -> None:
        for number in range(NUMBERS):
            commands.append(await world.ask(number))
            await asyncio.sleep(chance.uniform(0, 0.03))

    async def tell() -> None:
        for number in range(NUMBERS, 2 * NUMBERS):
            await world.count(range(number, number + 1))
            await asyncio.sleep(chance.uniform(0, 0.03))

    async def kill() -> None:
        for _ in range(DEATHS[broker.kind]):
            await asyncio.sleep(chance.uniform(0.05, 0.8))
            await asyncio.to_thread(broker.stop)
            await asyncio.sleep(chance.uniform(0, 0.3))
            await broker.start_empty(world.topics)

    async with beside(
        world.stamper().run(),
        world.relay().run(),
        world.obey(),
        world.consumer().run(),
        answers.run(),
        *world.asking_parts(),
    ):
        await asyncio.gather(ask(), tell(), kill())
        await eventually(lambda: world.has_noted(range(2 * NUMBERS)))
        outcomes = await asyncio.gather(*[answers.outcome(command, 30) for command in commands])

    assert [outcome.command_id for outcome in outcomes] == commands
    caused = await world.counter.fetch("SELECT causation_id, count(*) FROM outbox GROUP BY causation_id")
    assert {row["causation_id"]: row["count"] for row in caused} == dict.fromkeys(commands, 1) | {None: NUMBERS}
    assert await _all_answered(world)
