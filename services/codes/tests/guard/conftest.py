"""A service of codes on a database of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from services.codes.tests.guard.gate import Gate, gate_of, prepare_codes
from tests.plugins.postgres import DatabaseFrom


@pytest.fixture
async def gate(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Gate]:
    """The service, for an app's backend."""
    async with gate_of(await database_from("codes-guard", prepare_codes), tmp_path) as made:
        yield made
