"""The cursor of an app's events names a place in every partition, however many there are."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from libs.events.partition import PARTITIONS_MAX
from libs.service.pagination import encode_cursor
from libs.service.problems import InvalidRequest
from services.ledger.api.places import CURSOR_LENGTH_MAX, pack, places_before, unpack
from services.ledger.store.journal import NEWEST
from services.ledger.store.setup import prepare
from services.ledger.tests.http.client import DOCUMENT, running
from tests.plugins.postgres import Database

WIDEST = [NEWEST - 1 - number for number in range(PARTITIONS_MAX)]


@pytest.mark.parametrize("positions", [[], [1], [127, 128, 16_384], [NEWEST, 5, NEWEST], WIDEST])
def test_places_come_back(positions: list[int]) -> None:
    assert unpack(pack(positions)) == positions


def test_a_cursor_is_taken_back_at_any_position_of_any_number_of_partitions() -> None:
    cursor = encode_cursor({"before": pack(WIDEST)})
    assert len(cursor) < CURSOR_LENGTH_MAX
    assert places_before(cursor, PARTITIONS_MAX) == dict(enumerate(WIDEST))


@pytest.mark.parametrize(
    "places", ["", "é", "'", pack([1, 2]), pack([1, 2, 3])[:-1], pack([1, 2, NEWEST + 1]), "~" * 9]
)
def test_a_cursor_that_is_none_is_refused(places: str) -> None:
    with pytest.raises(InvalidRequest):
        places_before(encode_cursor({"before": places}), 3)


@pytest.mark.anyio
async def test_pages_of_a_log_of_256_partitions(database: Database, tmp_path: Path) -> None:
    await prepare(database.owner_dsn, database.runtime, PARTITIONS_MAX, ["0"])
    async with running(database, tmp_path) as api:
        admin = api.as_("admin")
        await admin.put("/config", DOCUMENT)
        await asyncio.gather(*[api.grant(f"user{number}", "1") for number in range(300)])
        seen: list[str] = []
        cursor: dict[str, Any] = {}
        while True:
            page = await admin.get("/events", limit=120, type="credits_granted", **cursor)
            seen += [event["user"] for event in page["data"]]
            if not page["has_more"]:
                break
            cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == sorted(f"user{number}" for number in range(300))
