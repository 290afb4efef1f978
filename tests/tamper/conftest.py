"""A copy of the same books for each test, with the keys and the place of their anchors."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.service.keys import generate_key, read_jwks, write_jwks
from services.ledger.anchors import AnchorPlace
from tests.plugins.postgres import Database, DatabaseFrom
from tests.tamper.world import write_history


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """A ledger's database in which everything has happened."""
    return await database_from("tamper", write_history)


@pytest.fixture
def anchors(tmp_path: Path) -> AnchorPlace:
    """Where anchors are to lie, and the key that they are signed with."""
    generate_key(tmp_path / "keys", "anchor")
    write_jwks(tmp_path / "keys", tmp_path / "keys" / "jwks.json")
    return AnchorPlace(tmp_path / "anchors", read_jwks(tmp_path / "keys" / "jwks.json"))
