"""A ledger that serves gRPC beside HTTP, from a database of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.embedded.ports import free_port
from services.ledger.tests.grpc_door.door import Door
from services.ledger.tests.http.client import DOCUMENT, Api, prepare_ledger, running
from tests.plugins.postgres import Database, DatabaseFrom

RULES = {
    "earning_rules": {"jump": {"amount": "5", "times": 2}},
    "allowances": {"pro": {"limit": "100", "period": "anniversary"}},
    "prices": {"operations": {"image": {"amount": "5"}}},
}


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """An empty ledger's database."""
    return await database_from("ledger-http", prepare_ledger)


@pytest.fixture
async def api(books: Database, tmp_path: Path) -> AsyncIterator[Api]:
    """A caller of the role `service` of the app `coins`, over HTTP."""
    async with running(books, tmp_path, grpc_listen_port=free_port()) as made:
        await made.as_("admin").put("/config", {**DOCUMENT, **RULES})
        yield made


@pytest.fixture
async def door(api: Api) -> AsyncIterator[Door]:
    """The same caller over gRPC."""
    async with Door(api) as made:
        yield made
