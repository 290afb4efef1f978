"""The service's part of an app's file: versions, what would change, what is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.codes.tests.office import Office, office, prepare_codes
from tests.plugins.postgres import DatabaseFrom

pytestmark = pytest.mark.anyio

SAMPLE: dict[str, Any] = {"codes": {"samples": {"GIFT10": {"amount": "10"}}}}


@pytest.fixture
async def admin(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Office]:
    """An administrator of an app that was never configured."""
    async with office(await database_from("codes", prepare_codes), tmp_path) as made:
        yield made.as_("admin")


async def put(admin: Office, document: dict[str, Any], query: str = "", **headers: str) -> tuple[int, Any]:
    """Status and body of an application."""
    answer = await admin.send("PUT", f"/config{query}", document, **headers)
    return answer.status_code, answer.json()


async def test_an_app_without_a_configuration_has_the_default_one(admin: Office) -> None:
    found = await admin.get("/config")
    assert (found["version"], found["config"]["codes"]["samples"]) == (0, {})
    assert await put(admin, {}) == (200, found)


async def test_what_would_change_is_shown_and_changes_nothing(admin: Office) -> None:
    status, shown = await put(admin, SAMPLE, "?dry_run=true")
    assert (status, shown["version"]) == (200, 0)
    assert shown["changes"] == [{"path": "codes", "before": None, "after": SAMPLE["codes"]}]
    assert (await admin.get("/config"))["version"] == 0
    assert (await admin.get("/codes"))["data"] == []


async def test_a_version_follows_the_one_that_was_seen(admin: Office) -> None:
    answer = await admin.send("PUT", "/config", SAMPLE, **{"If-Match": '"0"'})
    assert (answer.status_code, answer.headers["etag"]) == (200, '"1"')
    assert [code["code"] for code in (await admin.get("/codes"))["data"]] == ["GIFT10"]
    status, problem = await put(admin, {}, **{"If-Match": '"0"'})
    assert (status, problem["code"]) == (412, "version_mismatch")
    # The same again is no new version.
    assert (await put(admin, SAMPLE))[1]["version"] == 1
    assert (await put(admin, {}, **{"If-Match": '"1"'}))[1]["version"] == 2


@pytest.mark.parametrize(
    "document",
    [
        {"assets": {"credits": {"scale": 2}}},
        {"codes": {"samples": {"GIFT10": {"amount": 1.5}}}},
        {"codes": {"samples": {"GIFT10": {"amount": "-1"}}}},
        {"codes": {"samples": {"GIFT10": {}}}},
        {"codes": {"samples": {"!": {"amount": "1"}}}},
        {"codes": {"reservation_s": 0}},
        {"zone": "Atlantis"},
    ],
    ids=lambda document: str(document)[:40],
)
async def test_a_document_that_is_wrong_changes_nothing(admin: Office, document: dict[str, Any]) -> None:
    status, problem = await put(admin, document)
    assert (status, problem["code"]) == (400, "invalid_request"), problem
    assert problem["errors"]
    assert (await admin.get("/config"))["version"] == 0


async def test_an_app_does_not_enter_test_mode_later(admin: Office) -> None:
    await put(admin, SAMPLE)
    tested = {**SAMPLE, "test_mode": {"clock_start": "2025-11-15T00:00:00Z"}}
    status, problem = await put(admin, tested)
    assert (status, problem["code"]) == (409, "config_conflict")
    other = admin.as_("admin", app="trial")
    assert (await put(other, tested))[0] == 200
    assert await other.get("/test-clock") == {"now": "2025-11-15T00:00:00Z"}


async def test_codes_can_be_switched_off(admin: Office) -> None:
    await put(admin, {**SAMPLE, "switches": {"codes": False}})
    status, code, _ = await admin.refused("POST", "/redemptions", {"code": "GIFT10", "user": "ann"})
    assert (status, code) == (403, "feature_disabled")
