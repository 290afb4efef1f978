"""The log on Kafka: all of it, in order, by one relay, and never from an old copy of the database."""

from __future__ import annotations

import asyncio
import random

import pytest

from libs.events.contracts.ledger import commands as c
from libs.events.db import Fenced
from libs.events.envelope import Envelope, Heartbeat
from libs.events.partition import partition_of
from libs.events.relay import LogBehindError
from services.ledger.tests.kafka.world import World, changed, prepare_books
from services.ledger.tests.support import PARTITIONS, Ledger, ledger_on
from tests.plugins.postgres import DatabaseFrom
from tests.waiting import eventually

# The driver loses a connection whose making is cancelled; only the collector closes it.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]


async def ended(task: asyncio.Task[None]) -> None:
    """End a task wherever it is."""
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_a_relay_that_dies_anywhere_leaves_out_nothing(world: World, ledger: Ledger) -> None:
    chance = random.Random(3)  # noqa: S311
    for _ in range(15):
        relaying = asyncio.create_task(world.relay(ledger).run())
        await asyncio.gather(
            *[ledger.do("grant", f"user{chance.randrange(50)}", amount=1) for _ in range(20)],
            asyncio.sleep(chance.uniform(0, 0.1)),
        )
        await ended(relaying)
    stored = await world.told(ledger)
    relaying = asyncio.create_task(world.relay(ledger).run())
    published = await world.published(lambda events, _: len({event.id for event in events}) == len(stored))
    await ended(relaying)
    first: dict[str, Envelope] = {}
    for event in published:
        known = first.setdefault(event.id, event)
        assert event == known, "what is published again is the same"
    places = [(partition_of(event.app, event.subject, PARTITIONS), event.seq) for event in first.values()]
    for partition in range(PARTITIONS):
        seqs = [told.position for told in stored if told.partition == partition]
        assert [seq for place, seq in places if place == partition] == seqs, "in order, from the first on"


async def test_an_idle_partition_says_how_far_it_is(world: World, ledger: Ledger) -> None:
    await world.done(ledger, c.GrantCredits(user="ann", amount="1"), "ann")
    heads = sorted(row["position"] for row in await ledger.pool.fetch("SELECT position FROM heads"))
    seen: list[Heartbeat] = []

    def enough(_: list[Envelope], beats: list[Heartbeat]) -> bool:
        seen[:] = beats
        # Records of several partitions come in any order: some round of them is one of each.
        return len(beats) >= 3 * PARTITIONS and sorted(beat.seq for beat in beats[-PARTITIONS:]) == heads

    relaying = asyncio.create_task(world.relay(ledger, heartbeat_s=0.05).run())
    try:
        await world.published(enough)
    finally:
        await ended(relaying)
    assert {beat.source for beat in seen} == {"ledger"}


async def test_of_two_relays_the_earlier_ends(world: World, ledger: Ledger) -> None:
    earlier = asyncio.create_task(world.relay(ledger).run())
    await world.done(ledger, c.GrantCredits(user="ann", amount="1"), "ann")
    await world.published(lambda events, _: bool(events))
    later = asyncio.create_task(world.relay(ledger).run())
    number = 0

    async def one_has_ended() -> bool:
        nonlocal number
        number += 1
        await ledger.do("grant", f"user{number}", amount=1)
        return earlier.done() or later.done()

    await eventually(one_has_ended, "the end of one")
    assert not later.done()
    with pytest.raises(Fenced):
        earlier.result()
    await ledger.do("grant", "last", amount=1)
    stored = {told.event_id for told in await world.told(ledger)}
    await world.published(lambda events, _: {event.id for event in events} >= stored)
    await ended(later)


async def test_an_old_copy_of_the_database_publishes_nothing(
    world: World, ledger: Ledger, database_from: DatabaseFrom
) -> None:
    await world.done(ledger, c.GrantCredits(user="ann", amount="1"), "ann")
    stored = {told.event_id for told in await world.told(ledger)}
    relaying = asyncio.create_task(world.relay(ledger).run())
    await world.published(lambda events, _: {event.id for event in events} >= stored)
    await ended(relaying)
    old = await database_from("ledger-kafka", prepare_books)
    async with ledger_on(old) as copy:
        with pytest.raises(LogBehindError):
            await world.relay(copy).run()


async def test_what_came_with_a_command_goes_out_with_its_event(world: World, ledger: Ledger) -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    command = changed(world.command(c.GrantCredits(user="ann", amount="1"), "ann"), traceparent=trace)
    await world.publish(command)
    told = await world.outcome(ledger, command.id)
    relaying = asyncio.create_task(world.relay(ledger).run())
    events = await world.published(lambda events, _: any(event.id == told.event_id for event in events))
    await ended(relaying)
    (event,) = [event for event in events if event.id == told.event_id]
    assert (event.traceparent, event.stream is None, event.prevseq) == (trace, False, (event.seq or 0) - 1)
