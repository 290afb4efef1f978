"""A prepared database for each test of the verifier, and a ledger running on it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from services.ledger.tests.support import Ledger, ledger_on, prepare
from services.ledger.tests.truth.scenario import DOCUMENT
from tests.plugins.postgres import Database, DatabaseFrom


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """An empty ledger's database."""
    return await database_from("ledger", prepare)


@pytest.fixture
async def ledger(books: Database) -> AsyncIterator[Ledger]:
    """A ledger on `books` with the app `coins`."""
    async with ledger_on(books) as running:
        await running.configure(**DOCUMENT)
        yield running
