"""Databases with the tables of messaging."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from libs.events.db import MIGRATIONS, Pool
from libs.events.tests.world import TABLES, Pools, World
from libs.service.db import create_pool
from libs.service.migrations import migrate
from tests.plugins.kafka import Broker, Restartable
from tests.plugins.postgres import Database, DatabaseFrom


async def _prepare(database: Database) -> None:
    await migrate(database.owner_dsn, [MIGRATIONS], database.runtime)
    pool = await create_pool(database.owner_dsn, application_name="prepare")
    await pool.execute(TABLES.replace(":runtime", database.runtime))
    await pool.close()


@pytest.fixture
async def messaging_database(database_from: DatabaseFrom) -> Database:
    """A database with the tables of messaging."""
    return await database_from("libs.events", _prepare)


@pytest.fixture
async def pool(messaging_database: Database) -> AsyncIterator[Pool]:
    """Connections of the runtime role to `messaging_database`."""
    async with await create_pool(messaging_database.runtime_dsn, application_name="test") as made:
        yield made


@pytest.fixture
async def pools(database_from: DatabaseFrom) -> AsyncIterator[Pools]:
    """Connections of the runtime role to two services' databases, and the first one's owner's DSN."""
    first = await database_from("libs.events", _prepare)
    second = await database_from("libs.events", _prepare)
    # The driver reports a connection attempt that is cancelled while it negotiates TLS as an error of nobody's.
    async with (
        await create_pool(first.runtime_dsn, application_name="first") as one,
        await create_pool(second.runtime_dsn, application_name="second") as two,
    ):
        yield one, two, first.owner_dsn


@pytest.fixture
async def world(broker: Broker, pools: Pools) -> AsyncIterator[World]:
    """Two services on the shared broker, of both kinds in turn."""
    made = World(broker.bootstrap, *pools)
    await broker.create_topics(made.topics)
    async with made:
        yield made


@pytest.fixture
async def restartable_world(restartable_broker: Restartable, pools: Pools) -> AsyncIterator[World]:
    """Two services on a broker that can be killed, of both kinds in turn."""
    made = World(f"file:{restartable_broker.address_file}", *pools, restartable=restartable_broker)
    await restartable_broker.create_topics(made.topics)
    async with made:
        yield made
