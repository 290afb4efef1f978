"""A ledger with an app, an account and one of everything in it, for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.ledger.tests.http.client import DOCUMENT, Api, prepare_ledger, running
from tests.plugins.postgres import Database, DatabaseFrom
from tests.security.estate import Estate


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """An empty ledger's database."""
    return await database_from("ledger-http", prepare_ledger)


@pytest.fixture
async def api(books: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """A caller of the role `service` of the app `coins`."""
    async with running(books, tmp_path) as made:
        await made.as_("admin").put("/config", DOCUMENT)
        await made.as_("admin", app="other").put("/config", DOCUMENT)
        yield made


@pytest.fixture
async def estate(api: Api) -> Estate:
    """What belongs to ann of the app `coins`."""
    return await Estate.make(api)
