"""Codes as managers make, list and change them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from services.codes.domain.texts import is_well_formed
from services.codes.tests.office import Office, office, prepare_codes
from tests.plugins.postgres import DatabaseFrom

pytestmark = pytest.mark.anyio


@pytest.fixture
async def manager(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Office]:
    """A manager of the app."""
    async with office(await database_from("codes", prepare_codes), tmp_path) as made:
        yield made


async def use(manager: Office, code_id: str, times: int = 1) -> None:
    """As a redemption leaves a code."""
    await manager.core.pool.execute("UPDATE codes SET redeemed = $2, frozen_at = 1 WHERE id = $1", code_id, times)


async def test_a_chosen_code_keeps_its_text_and_says_all_that_it_is(manager: Office) -> None:
    asked = {
        "code": "welcome-100",
        "kind": "welcome",
        "name": "Welcome",
        "amount": "100.50",
        "percent_off": "12.5",
        "currency": "USD",
        "min_minor": 500,
        "max_off_minor": 2000,
        "service": "research",
        "max_uses": 50,
        "per_user_limit": 2,
        "starts_at": "2026-01-01T00:00:00Z",
        "ends_at": "2027-01-01T00:00:00Z",
        "scope": ["agents"],
        "expires_after_s": 86400,
        "audience": {"who": "new", "days": 7},
    }
    made = await manager.post("/codes", asked)
    assert made["code"] == "WELCOME100"
    assert made["audience"] == {"who": "new", "users": [], "days": 7}
    same = {name: value for name, value in asked.items() if name not in ("code", "audience", "starts_at", "ends_at")}
    assert {name: made[name] for name in same} == same
    assert (made["status"], made["redeemed"], made["version"]) == ("active", 0, 1)
    assert await manager.get(f"/codes/{made['id']}") == made
    assert (await manager.get("/codes?text=WELCOME-%DB%B1%DB%B0%DB%B0"))["data"] == [made]


async def test_a_made_code_is_shown_whole_once_and_is_nowhere_in_the_database(manager: Office) -> None:
    body = {"kind": "recharge", "amount": "10", "prefix": "new"}
    first = await manager.send("POST", "/codes", body, key="a key")
    made = first.json()
    text = made["code"]
    assert (first.status_code, made["max_uses"]) == (201, 1)
    assert text.startswith("NEW-")
    assert is_well_formed(text)
    assert made["last4"] == text[-4:]
    listed = await manager.get(f"/codes/{made['id']}")
    assert (listed["code"], listed["last4"]) == (None, text[-4:])
    # A repeat gets the first answer: it may be the first one that arrives.
    again = await manager.send("POST", "/codes", body, key="a key")
    assert (again.json(), again.headers["idempotency-replayed"]) == (made, "true")
    assert await _found_in_database(manager, text) == []
    assert (await manager.get(f"/codes?text={text.lower()}"))["data"][0]["id"] == made["id"]


async def _found_in_database(manager: Office, text: str) -> list[str]:
    """The tables in which a text stands, with or without its separators, as text or as bytes."""
    tables = await manager.core.pool.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    forms = [form for plain in (text, text.replace("-", "")) for form in (plain, plain.encode().hex())]
    found = []
    for table in (row["tablename"] for row in tables):
        rows = await manager.core.pool.fetch(f'SELECT t::text AS row FROM "{table}" t')
        # Columns of bytes that hold JSON are written in hexadecimal digits.
        if any(form in row["row"] for form in forms for row in rows):
            found.append(table)
    return found


async def test_the_search_of_the_database_finds_what_is_there(manager: Office) -> None:
    await manager.post("/codes", {"code": "FINDME77", "amount": "1"})
    assert set(await _found_in_database(manager, "FINDME77")) == {"codes", "results"}


async def test_a_text_is_taken_once(manager: Office) -> None:
    await manager.post("/codes", {"code": "SPRING", "amount": "1"})
    status, code, _ = await manager.refused("POST", "/codes", {"code": "spr ing", "amount": "2"})
    assert (status, code) == (409, "code_taken")
    other = manager.as_("manager", app="coins")
    assert (await other.post("/codes", {"code": "SPRING", "amount": "2"}))["code"] == "SPRING"
    assert len((await other.get("/codes"))["data"]) == 1


IMPOSSIBLE: list[tuple[dict[str, Any], str]] = [
    ({}, "nothing_given"),
    ({"amount": "1", "extra": 1}, "unknown_field"),
    ({"amount": 1.5}, "amount_not_string"),
    ({"amount": "0"}, "amount_not_positive"),
    ({"amount": "-1"}, "amount_invalid"),
    ({"amount": "1", "code": "no!"}, "invalid_code"),
    ({"amount": "1", "code": "ab"}, "invalid_code"),
    ({"amount": "1", "code": "ABCDEF", "prefix": "X"}, "not_together"),
    ({"amount": "1", "prefix": "GIFT"}, "look_alike"),
    ({"amount": "1", "pattern": "####-####"}, "pattern_length"),
    ({"amount": "1", "pattern": "####-####-###A"}, "pattern_without_check"),
    ({"amount": "1", "pattern": "####-####-####", "length": 12}, "not_together"),
    ({"amount": "1", "length": 3}, "out_of_range"),
    ({"kind": "recharge", "percent_off": 10}, "amount_missing"),
    ({"kind": "discount", "amount": "1"}, "discount_missing"),
    ({"kind": "gift", "amount": "1", "percent_off": 10}, "not_together"),
    ({"kind": "card", "amount": "1"}, "not_one_of"),
    ({"kind": "discount", "percent_off": 10, "amount_off": 100, "currency": "USD"}, "not_together"),
    ({"kind": "discount", "percent_off": 0}, "out_of_range"),
    ({"kind": "discount", "percent_off": 101}, "out_of_range"),
    ({"kind": "discount", "amount_off": 100}, "currency_missing"),
    ({"kind": "discount", "amount_off": 100, "currency": "usd"}, "invalid_currency"),
    ({"kind": "discount", "amount_off": 100, "currency": "USD", "max_off_minor": 5}, "not_together"),
    ({"amount": "1", "service": "research"}, "discount_missing"),
    ({"kind": "discount", "percent_off": 10, "scope": ["a"]}, "amount_missing"),
    ({"amount": "1", "max_uses": 0}, "out_of_range"),
    ({"amount": "1", "per_user_limit": 0}, "out_of_range"),
    ({"amount": "1", "starts_at": "2026-01-02T00:00:00Z", "ends_at": "2026-01-01T00:00:00Z"}, "ends_before_start"),
    ({"amount": "1", "ends_at": "tomorrow"}, "invalid_time"),
    ({"amount": "1", "audience": {"who": "list"}}, "users_missing"),
    ({"amount": "1", "audience": {"who": "holder", "users": ["a", "b"]}}, "users_missing"),
    ({"amount": "1", "audience": {"users": ["a"]}}, "users_not_wanted"),
    ({"amount": "1", "name": "a\u0000b"}, "control_character"),
    ({"amount": "1", "expires_after_s": 0}, "out_of_range"),
]


async def test_what_cannot_be_is_refused_by_name(manager: Office) -> None:
    for body, fault in IMPOSSIBLE:
        status, code, problem = await manager.refused("POST", "/codes", body)
        assert (status, code) == (400, "invalid_request")
        assert fault in [each["code"] for each in problem["errors"]], (body, problem)
    assert await manager.core.pool.fetchval("SELECT count(*) FROM codes") == 0


async def test_an_unknown_campaign_is_not_found(manager: Office) -> None:
    status, code, _ = await manager.refused("POST", "/codes", {"amount": "1", "campaign": "campaign_none"})
    assert (status, code) == (404, "campaign_not_found")


async def test_codes_are_made_and_changed_by_managers_and_admins_only(manager: Office) -> None:
    made = await manager.post("/codes", {"code": "MINE77", "amount": "1"})
    for role in ("service", "user"):
        other = manager.as_(role)
        for method, path, body in (
            ("POST", "/codes", {"amount": "1"}),
            ("PATCH", f"/codes/{made['id']}", {"name": "x"}),
            ("POST", f"/codes/{made['id']}/void", None),
            ("POST", "/batches", {"count": 1, "amount": "1"}),
            ("GET", "/batches/batch_none/export", None),
        ):
            status, code, _ = await other.refused(method, path, body)
            assert (status, code) == (403, "scope_missing")
    assert (await manager.as_("admin").post("/codes", {"amount": "1"}))["status"] == "active"
    status, code, _ = await manager.as_("manager", app="coins").refused("GET", f"/codes/{made['id']}")
    assert (status, code) == (404, "code_not_found")


async def test_the_list_filters_by_what_a_code_is_now(manager: Office) -> None:
    def asked(code: str, **fields: Any) -> dict[str, Any]:
        return {"code": code, "amount": "1", **fields}

    await manager.post("/codes", asked("ACTIVE", kind="bonus"))
    await manager.post("/codes", asked("PAUSED", status="paused"))
    await manager.post("/codes", asked("EXPIRED", ends_at="2026-06-01T12:00:00Z"))
    used = await manager.post("/codes", asked("USEDUP", max_uses=1))
    await use(manager, used["id"])
    gone = await manager.post("/codes", asked("VOIDED"))
    await manager.post(f"/codes/{gone['id']}/void")
    for status, code in (
        ("active", "ACTIVE"),
        ("paused", "PAUSED"),
        ("expired", "EXPIRED"),
        ("used_up", "USEDUP"),
        ("void", "VOIDED"),
    ):
        listed = (await manager.get(f"/codes?status={status}"))["data"]
        assert [(each["code"], each["status"]) for each in listed] == [(code, status)]
    assert [each["code"] for each in (await manager.get("/codes?kind=bonus"))["data"]] == ["ACTIVE"]
    status_, code_, _ = await manager.refused("GET", "/codes?status=gone")
    assert (status_, code_) == (400, "invalid_request")


async def test_pages_and_files_have_every_code_once(manager: Office) -> None:
    names = [f"CODE{number}" for number in range(7)]
    for name in names:
        manager.clock.advance(1)
        await manager.post("/codes", {"code": name, "amount": "1"})
    seen, cursor = [], ""
    while True:
        page = await manager.get(f"/codes?limit=3{cursor}")
        seen += [each["code"] for each in page["data"]]
        if not page["has_more"]:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert seen == names[::-1]
    lines = (await manager.send("GET", "/codes?format=csv")).text.splitlines()
    assert lines[0].startswith("id,code,last4,kind")
    assert [line.split(",")[1] for line in lines[1:]] == names[::-1]
    assert len((await manager.send("GET", "/codes?format=jsonl")).text.splitlines()) == 7


async def test_an_unused_code_may_become_anything(manager: Office) -> None:
    made = await manager.post("/codes", {"code": "BEFORE", "amount": "1", "max_uses": 10})
    changed = (
        await manager.send("PATCH", f"/codes/{made['id']}", {"amount": "2.5", "max_uses": None, "percent_off": 5})
    ).json()
    assert (changed["amount"], changed["max_uses"], changed["percent_off"], changed["version"]) == ("2.5", None, "5", 2)
    status, code, problem = await manager.refused("PATCH", f"/codes/{made['id']}", {"amount": None})
    assert (status, code, problem["errors"][0]["code"]) == (400, "invalid_request", "amount_missing")
    told = await manager.core.pool.fetch("SELECT type, data FROM outbox ORDER BY message_id")
    assert [row["type"] for row in told] == ["codes.code_created.v1", "codes.code_changed.v1"]


async def test_terms_stay_as_they_are_from_the_first_use_on(manager: Office) -> None:
    made = await manager.post("/codes", {"code": "FROZEN", "amount": "1", "max_uses": 10})
    path = f"/codes/{made['id']}"
    await use(manager, made["id"], times=3)
    for change, names in (
        ({"amount": "2"}, ["amount"]),
        ({"percent_off": 5, "service": "x"}, ["percent_off", "service"]),
        ({"max_uses": 9}, ["max_uses"]),
        ({"starts_at": "2026-01-01T00:00:00Z"}, ["starts_at"]),
        ({"per_user_limit": None}, ["per_user_limit"]),
        ({"audience": {"who": "new"}}, ["audience"]),
    ):
        status, code, problem = await manager.refused("PATCH", path, change)
        assert (status, code, sorted(problem["fields"])) == (409, "terms_frozen", names)
    allowed = {"name": "Renamed", "max_uses": 11, "ends_at": "2027-01-01T00:00:00Z", "status": "paused"}
    changed = (await manager.send("PATCH", path, allowed)).json()
    assert {name: changed[name] for name in ("name", "max_uses", "status")} == {
        name: allowed[name] for name in ("name", "max_uses", "status")
    }
    # Sent as it is already, nothing changes.
    assert (await manager.send("PATCH", path, {"amount": "1", "max_uses": None})).json()["max_uses"] is None


async def test_pause_resume_and_void(manager: Office) -> None:
    made = await manager.post("/codes", {"code": "STATUS", "amount": "1"})
    path = f"/codes/{made['id']}"
    assert (await manager.post(f"{path}/pause"))["status"] == "paused"
    assert (await manager.post(f"{path}/pause"))["version"] == 2
    assert (await manager.post(f"{path}/resume"))["status"] == "active"
    assert (await manager.post(f"{path}/void"))["status"] == "void"
    assert (await manager.post(f"{path}/void"))["status"] == "void"
    for method, verb, body in (("POST", "/resume", None), ("POST", "/pause", None), ("PATCH", "", {"name": "x"})):
        status, code, _ = await manager.refused(method, path + verb, body)
        assert (status, code) == (409, "code_void")
    status, code, _ = await manager.refused("POST", "/codes/code_none/void")
    assert (status, code) == (404, "code_not_found")


@pytest.mark.parametrize("query", ["codes?batch=", "codes?text=", "redemptions?code=", "redemptions?checkout="])
async def test_a_filter_that_says_nothing_is_refused(manager: Office, query: str) -> None:
    assert (await manager.refused("GET", f"/{query}"))[:2] == (400, "invalid_request")
