"""Codes that come with an app's file: K2's four as an example."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from libs.service.app_files import read_app_file
from services.codes.tests.office import Office, office, prepare_codes
from tests.plugins.postgres import DatabaseFrom

pytestmark = pytest.mark.anyio


@pytest.fixture
async def admin(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Office]:
    """An admin of the app."""
    async with office(await database_from("codes", prepare_codes), tmp_path) as made:
        yield made.as_("admin")


def samples() -> dict[str, Any]:
    """The samples in the file of AI Agent Kernel."""
    found: dict[str, Any] = read_app_file(Path("deploy/apps/kernel.yaml")).parts["codes"]["codes"]["samples"]
    return found


async def apply(admin: Office, wanted: dict[str, Any]) -> tuple[int, Any]:
    """Apply a configuration with these samples."""
    answer = await admin.send("PUT", "/config", {"codes": {"samples": wanted}})
    return answer.status_code, answer.json()


async def codes(admin: Office) -> dict[str, Any]:
    """All codes by their texts."""
    return {code["code"]: code for code in (await admin.get("/codes"))["data"]}


async def test_k2_the_four_codes_are_made_with_their_uses_and_only_once(admin: Office) -> None:
    assert (await apply(admin, samples()))[0] == 200
    made = await codes(admin)
    facts = {
        text: (code["amount"], code["redeemed"], code["max_uses"], code["ends_at"][:10]) for text, code in made.items()
    }
    assert facts == {
        "WELCOME100": ("1000", 100, 100, "2025-12-01"),
        "BONUS500": ("500", 0, 50, "2025-12-31"),
        "RESEARCH20": ("200", 0, 25, "2025-12-16"),
        "VIP1000": ("1000", 0, 10, "2026-01-30"),
    }
    assert (made["RESEARCH20"]["percent_off"], made["RESEARCH20"]["service"]) == ("20", "research")
    assert (await apply(admin, samples()))[1]["version"] == 1
    # Also on top of another version, nothing is made twice.
    await admin.send("PUT", "/config", {"zone": "Europe/Kyiv", "codes": {"samples": samples()}})
    assert await codes(admin) == made


async def test_a_changed_sample_changes_its_code_as_long_as_nobody_has_used_it(admin: Office) -> None:
    await apply(admin, samples())
    wanted = samples()
    wanted["VIP1000"] |= {"amount": "1500", "name": "Very important"}
    assert (await apply(admin, wanted))[0] == 200
    changed = (await codes(admin))["VIP1000"]
    assert (changed["amount"], changed["name"], changed["version"]) == ("1500", "Very important", 2)


async def test_other_terms_for_a_code_in_use_are_refused_by_name_and_nothing_is_applied(admin: Office) -> None:
    await apply(admin, samples())
    before = await codes(admin)
    for change, said in (({"amount": "2000"}, "amount"), ({"max_uses": 99}, "max_uses"), ({"used": 5}, "used")):
        wanted = samples()
        wanted["WELCOME100"] |= change
        wanted["FRESH"] = {"amount": "1"}
        if said == "max_uses":
            wanted["WELCOME100"]["used"] = 99
        status, problem = await apply(admin, wanted)
        assert (status, problem["code"]) == (409, "config_conflict")
        assert "WELCOME100" in problem["detail"]
    assert await codes(admin) == before
    wanted = samples()
    wanted["WELCOME100"] |= {"max_uses": 200, "name": "Welcome again"}
    assert (await apply(admin, wanted))[0] == 200
    assert (await codes(admin))["WELCOME100"]["max_uses"] == 200


async def test_a_sample_does_not_take_over_a_code_that_somebody_made(admin: Office) -> None:
    await admin.post("/codes", {"code": "VIP1000", "amount": "5"})
    status, problem = await apply(admin, samples())
    assert (status, problem["code"]) == (409, "config_conflict")
    assert "VIP1000" in problem["detail"]


async def test_a_sample_that_is_left_out_stays(admin: Office) -> None:
    await apply(admin, samples())
    assert (await apply(admin, {}))[0] == 200
    assert len(await codes(admin)) == 4
    # And it may come back.
    assert (await apply(admin, samples()))[0] == 200
    wanted = samples() | {"no!": {"amount": "1"}}
    status, problem = await apply(admin, wanted)
    assert (status, problem["code"]) == (400, "invalid_request")
