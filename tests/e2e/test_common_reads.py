"""X5, X6, X9: lists and exports, refusals that say what to do, erasure."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from tests.e2e.suite import Http, Suite

pytestmark = pytest.mark.anyio


@pytest.fixture
async def history(service: Http, user: str) -> AsyncIterator[list[str]]:
    """A user with seven operations; gives their references, the newest first."""
    await service.write("grants", {"user": user, "amount": "100", "reference": "op0"})
    for number in range(1, 7):
        await service.write("charges", {"user": user, "amount": str(number), "reference": f"op{number}"})
    yield [f"op{number}" for number in range(6, -1, -1)]


def references(rows: list[dict[str, Any]]) -> list[str]:
    """The references of journal lines."""
    return [row["reference"] for row in rows if row["reference"]]


async def test_x5_a_history_is_paged_without_gap_or_repeat(service: Http, user: str, history: list[str]) -> None:
    seen: list[dict[str, Any]] = []
    cursor: str | None = None
    pages = 0
    while True:
        query: dict[str, Any] = {"limit": 3} | ({"cursor": cursor} if cursor else {})
        page = (await service.read(f"accounts/{user}/transactions", **query)).json()
        assert len(page["data"]) <= 3
        seen += page["data"]
        pages += 1
        if pages == 1:
            # What comes meanwhile is newer than the page, and moves nothing in those that follow.
            await service.write("charges", {"user": user, "amount": "1", "reference": "later"})
        cursor = page["next_cursor"]
        assert page["has_more"] == (cursor is not None)
        if cursor is None:
            break
    assert pages >= 3
    assert references(seen) == history
    assert len({row["id"] for row in seen}) == len(seen)


async def test_x5_a_history_is_filtered(service: Http, user: str, history: list[str]) -> None:
    async def listed(**query: Any) -> list[str]:
        page = await service.read(f"accounts/{user}/transactions", **query)
        assert page.status_code == 200, page.text
        return references(page.json()["data"])

    assert await listed(type="credits_granted") == ["op0"]
    assert await listed(type="credits_charged") == history[:-1]
    assert await listed(reference="op3") == ["op3"]
    rows = (await service.read(f"accounts/{user}/transactions", reference="op3")).json()["data"]
    moment = rows[0]["time"]
    assert await listed(since=moment) == history[:4]
    assert await listed(until=moment) == history[4:]
    assert await listed(since=moment, until=datetime.now(UTC).isoformat(), type="credits_charged") == history[:4]


async def test_x5_a_history_is_filtered_by_member(service: Http, user: str) -> None:
    await service.write("grants", {"user": user, "amount": "10"})
    for member in ("ann", "ben", "ann"):
        await service.write("charges", {"user": user, "amount": "1", "member": member})
    page = (await service.read(f"accounts/{user}/transactions", member="ann")).json()["data"]
    assert [(row["member"], row["amount"]) for row in page] == [("ann", "-1"), ("ann", "-1")]


@pytest.mark.parametrize("query", [{"limit": "0"}, {"limit": "x"}, {"cursor": "!"}, {"since": "monday"}, {"hue": "1"}])
async def test_x5_a_query_that_makes_no_sense_is_named(service: Http, user: str, query: dict[str, str]) -> None:
    await service.write("grants", {"user": user, "amount": "10"})
    answer = await service.read(f"accounts/{user}/transactions", **query)
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request")
    assert [fault["field"] for fault in answer.json()["errors"]] == list(query)


async def test_x5_a_history_is_exported_as_csv_and_json_lines(service: Http, user: str, history: list[str]) -> None:
    await service.write("charges", {"user": user, "amount": "1", "description": '=HYPERLINK("x"), "so, to say"'})
    whole = (await service.read(f"accounts/{user}/transactions", limit=100)).json()["data"]

    lines = await service.read(f"accounts/{user}/transactions", format="jsonl")
    assert lines.headers["content-type"].startswith("application/jsonl")
    assert [json.loads(line) for line in lines.text.splitlines()] == whole

    sheet = await service.read(f"accounts/{user}/transactions", format="csv")
    assert sheet.headers["content-type"].startswith("text/csv")
    assert "attachment" in sheet.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(sheet.text, newline="")))
    assert [(row["id"], row["type"], row["amount"], row["before"], row["after"]) for row in rows] == [
        (row["id"], row["type"], row["amount"], row["before"], row["after"]) for row in whole
    ]
    assert rows[0]["description"] == '\'=HYPERLINK("x"), "so, to say"', "no spreadsheet runs it"

    filtered = await service.read(f"accounts/{user}/transactions", format="jsonl", type="credits_granted")
    assert [json.loads(line)["reference"] for line in filtered.text.splitlines()] == ["op0"]


async def test_x5_lots_and_holds_are_paged(service: Http, user: str) -> None:
    for number in range(5):
        await service.write("grants", {"user": user, "amount": str(number + 1)})
        await service.write("holds", {"user": user, "amount": "1"})
    for what in ("lots", "holds"):
        first = (await service.read(f"accounts/{user}/{what}", limit=3)).json()
        second = (await service.read(f"accounts/{user}/{what}", limit=3, cursor=first["next_cursor"])).json()
        assert (first["has_more"], second["has_more"], second["next_cursor"]) == (True, False, None)
        assert len({item["id"] for item in first["data"] + second["data"]}) == 5


async def test_x5_the_statistics_add_up(suite: Suite, user: str) -> None:
    async with suite.http("vpn", "admin") as http:
        await http.write("grants", {"user": user, "amount": "10", "source": "paid"})
        before = (await http.read("statistics")).json()["assets"][0]
        await http.write("grants", {"user": user, "amount": "2.5", "source": "paid"})
        await http.write("charges", {"user": user, "amount": "3"})
        after = (await http.read("statistics")).json()["assets"][0]
    assert float(after["issued"]["paid"]) - float(before["issued"]["paid"]) == 2.5
    assert float(after["spent"]) - float(before["spent"]) == 3
    assert float(after["settled"]) - float(before["settled"]) == -0.5


def problem_of(answer: httpx.Response) -> dict[str, Any]:
    """The problem document, which must be a whole one."""
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["status"] == answer.status_code
    assert problem["type"] == f"urn:tallystick:problem:{problem['code']}"
    assert problem["title"]
    assert problem["detail"]
    assert problem["request_id"]
    return problem


async def test_x6_too_few_credits_are_answered_402_with_what_is_needed(service: Http, user: str) -> None:
    await service.write("grants", {"user": user, "amount": "3"})
    problem = problem_of(await service.write("charges", {"user": user, "amount": "5"}))
    assert (problem["status"], problem["code"]) == (402, "insufficient_credits")
    assert (problem["required"], problem["available"]) == ("5", "3")
    assert "top_up_url" in problem
    assert "5" in problem["detail"]
    assert problem["next"]


async def test_x6_every_refusal_says_what_to_do_next(service: Http, admin: Http, user: str) -> None:
    grant = (await service.write("grants", {"user": user, "amount": "10"})).json()
    charge = (await service.write("charges", {"user": user, "amount": "1"})).json()
    hold = (await service.write("holds", {"user": user, "amount": "1"})).json()
    await service.write(f"holds/{hold['id']}/release")
    await service.write("actions", {"user": user, "action": "start"})
    await service.write("grants", {"user": user, "amount": "1", "unique_ref": "r"})
    await admin.write(f"accounts/{user}-frozen/freeze")
    await admin.write(f"accounts/{user}-closed/close")
    refusals = {
        "insufficient_credits": service.write("charges", {"user": user, "amount": "1000"}),
        "invalid_request": service.write("charges", {"user": user, "amount": -1}),
        "unknown_asset": service.write("charges", {"user": user, "amount": "1", "asset": "gold"}),
        "unknown_action": service.write("actions", {"user": user, "action": "dance"}),
        "already_earned": service.write("actions", {"user": user, "action": "start"}),
        "hold_resolved": service.write(f"holds/{hold['id']}/capture", {}),
        "refund_exceeds_charge": service.write(f"charges/{charge['id']}/refund", {"amount": "2"}),
        "unique_ref_taken": service.write("grants", {"user": user, "amount": "2", "unique_ref": "r"}),
        "grant_spent": service.write(f"grants/{grant['id']}/revoke", {"policy": "block"}),
        "account_frozen": service.write("charges", {"user": f"{user}-frozen", "amount": "1"}),
        "account_closed": service.write("grants", {"user": f"{user}-closed", "amount": "1"}),
        "config_conflict": admin.write("config?dry_run=true", {"assets": {"gold": {"scale": 0}}}, method="PUT"),
        "account_not_found": service.read("accounts/nobody-at-all"),
        "grant_not_found": service.write("grants/grant_0001JD0000000000000000000000/revoke"),
        "route_not_found": service.read("nothing-here"),
        "scope_missing": service.write("adjustments", {"user": user, "amount": "1", "reason": "test"}),
    }
    silent = []
    for code, call in refusals.items():
        problem = problem_of(await call)
        assert problem["code"] == code, problem
        if not problem.get("next"):
            silent.append(code)
    assert not silent, "these say nothing about what to do next"


BAD_BODIES: list[tuple[dict[str, Any], str, str]] = [
    ({"amount": 1.5}, "amount", "amount_not_string"),
    ({"amount": "1.5"}, "amount", "amount_too_precise"),
    ({"amount": "0"}, "amount", "amount_not_positive"),
    ({"amount": "-1"}, "amount", "amount_not_positive"),
    ({"amount": "9" * 17}, "amount", "amount_too_large"),
    ({"amount": "1", "user": "a b"}, "user", "invalid_user"),
    ({"amount": "1", "user": "@app"}, "user", "invalid_user"),
    ({"amount": "1", "colour": "red"}, "colour", "unknown_field"),
    ({}, "amount", "missing_field"),
    ({"amount": "1", "description": "a\u0007b"}, "description", "control_character"),
]


@pytest.mark.parametrize(("fields", "field", "code"), BAD_BODIES, ids=[f"{b[1]} {b[2]}" for b in BAD_BODIES])
async def test_x6_each_fault_of_a_body_is_named(
    service: Http, user: str, fields: dict[str, Any], field: str, code: str
) -> None:
    problem = problem_of(await service.write("charges", {"user": user, **fields}))
    assert (problem["status"], problem["code"]) == (400, "invalid_request")
    assert [(fault["field"], fault["code"]) for fault in problem["errors"]] == [(field, code)]
    assert (await service.read(f"accounts/{user}")).status_code == 404, "nothing was changed"


async def test_x6_bodies_that_are_no_json_too_deep_or_too_large(service: Http) -> None:
    headers = {"Idempotency-Key": "k", "Content-Type": "application/json"}
    for content, status, code in (
        (b"{", 400, "invalid_request"),
        (b"[" * 10_000 + b"]" * 10_000, 400, "invalid_request"),
        (b'{"user": "\xff"}', 400, "invalid_request"),
        (b'{"description": "' + b"x" * 100_000 + b'"}', 413, "body_too_large"),
    ):
        problem = problem_of(await service.post("/v1/charges", content=content, headers=headers))
        assert (problem["status"], problem["code"]) == (status, code)


async def test_x9_a_user_is_erased_and_the_books_still_verify(
    suite: Suite, service: Http, admin: Http, user: str
) -> None:
    texts = {"description": "Consultation with Dr. Jekyll", "metadata": {"phone": "555-0199"}}
    await service.write("grants", {"user": user, "amount": "10", **texts})
    await service.write("charges", {"user": user, "amount": "4", **texts})
    exported = (await service.read(f"accounts/{user}/transactions", format="jsonl")).text
    assert "Jekyll" in exported
    assert "555-0199" in exported

    erased = await admin.write(f"accounts/{user}/erase")
    assert erased.status_code == 200, erased.text
    told = [
        (await service.read(f"accounts/{user}/transactions", format="jsonl")).text,
        (await service.read(f"accounts/{user}/transactions")).text,
        (await admin.read("events", user=user)).text,
    ]
    for text in told:
        assert "Jekyll" not in text
        assert "555-0199" not in text
    amounts = [row["amount"] for row in (await service.read(f"accounts/{user}/transactions")).json()["data"]]
    assert [amount for amount in amounts if amount != "0"] == ["-4", "10"]
    assert (await service.state(user))["available"] == "6"

    again = await service.write("charges", {"user": user, "amount": "1", "description": "life goes on"})
    assert again.status_code == 201
    verified = suite.tallystick("ledger", "verify")
    assert verified.returncode == 0, verified.stdout + verified.stderr


async def test_x9_erasing_is_for_administrators(suite: Suite, service: Http, user: str) -> None:
    await service.write("grants", {"user": user, "amount": "1", "description": "kept"})
    async with suite.http("coins", "manager") as manager:
        for http in (service, manager):
            assert (await http.write(f"accounts/{user}/erase")).status_code == 403
    page = (await service.read(f"accounts/{user}/transactions", type="credits_granted")).json()
    assert page["data"][0]["description"] == "kept"
