"""A ledger's database and topics of its own for each test, on brokers of both kinds."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from libs.events.bus import Bus
from services.ledger.tests.kafka.world import World, prepare_books, topics
from services.ledger.tests.support import PARTITIONS, Ledger
from tests.plugins.kafka import Broker
from tests.plugins.postgres import Database, DatabaseFrom


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """A ledger's database in which the app `coins` has been set up and nobody has anything yet."""
    return await database_from("ledger-kafka", prepare_books)


@pytest.fixture
async def world(broker: Broker, books: Database, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """A ledger that does not run yet, on the shared broker, of both kinds in turn."""
    commands, events = topics()
    monkeypatch.setattr("services.ledger.consumers.COMMANDS_TOPIC", commands)
    monkeypatch.setattr("services.ledger.store.log_source.EVENTS_TOPIC", events)
    monkeypatch.setattr("services.ledger.consumers.REPLAY_POLL_S", 0.05)
    names = {commands: PARTITIONS, events: PARTITIONS}
    await broker.create_topics(names)
    async with Bus(broker.bootstrap, names, timeout_s=5.0) as bus:
        yield World(broker.kind, books, commands, events, bus)


@pytest.fixture
async def ledger(world: World) -> AsyncIterator[Ledger]:
    """The ledger of `world`, which takes commands."""
    async with world.ledger() as running:
        yield running
