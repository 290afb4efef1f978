"""A ledger with topics of its own for each test, and one that is served on a port."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from libs.events.bus import Bus
from services.ledger.tests.kafka.world import World, prepare_books, topics
from services.ledger.tests.support import PARTITIONS, Ledger
from tests.plugins.kafka import SharedEmbedded
from tests.plugins.postgres import Database, DatabaseFrom


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """A ledger's database in which the app `coins` has been set up."""
    return await database_from("ledger-kafka", prepare_books)


@pytest.fixture
async def world(
    embedded_broker: SharedEmbedded, books: Database, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[World]:
    """A ledger that does not run yet, between two topics."""
    commands, events = topics()
    monkeypatch.setattr("services.ledger.consumers.COMMANDS_TOPIC", commands)
    monkeypatch.setattr("services.ledger.store.log_source.EVENTS_TOPIC", events)
    names = {commands: PARTITIONS, events: PARTITIONS}
    await embedded_broker.create_topics(names)
    async with Bus(embedded_broker.bootstrap, names, timeout_s=5.0) as bus:
        yield World("embedded", books, commands, events, bus)


@pytest.fixture
async def ledger(world: World) -> AsyncIterator[Ledger]:
    """The ledger of `world`, which takes commands."""
    async with world.ledger() as running:
        yield running
