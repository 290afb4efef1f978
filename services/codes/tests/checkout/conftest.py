"""A database of the codes service, and a shop at it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from services.codes.store.setup import prepare
from services.codes.tests.checkout.shop import Shop, shop_at
from tests.plugins.postgres import Database, DatabaseFrom

Opened = Callable[[], Awaitable[Shop]]


async def _prepare(database: Database) -> None:
    await prepare(database.owner_dsn, database.runtime)


@pytest.fixture
async def codes_database(database_from: DatabaseFrom) -> Database:
    """A database with the tables of the service."""
    return await database_from("services.codes", _prepare)


@pytest.fixture
async def shop(codes_database: Database, tmp_path: Path) -> AsyncIterator[Shop]:
    """Codes, checkouts and what payments tells, without broker and HTTP."""
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(shop_at(codes_database, tmp_path))
