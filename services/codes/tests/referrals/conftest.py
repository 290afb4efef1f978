"""A database of the codes service, and referrals in it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.codes.store.setup import prepare
from services.codes.tests.referrals.world import World, opened
from tests.plugins.postgres import Database, DatabaseFrom


async def _prepare(database: Database) -> None:
    await prepare(database.owner_dsn, database.runtime)


@pytest.fixture
async def world(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[World]:
    """The handlers on a database of their own, with a clock that stands still."""
    database = await database_from("services.codes", _prepare)
    async with opened(database.runtime_dsn, tmp_path) as made:
        yield made
