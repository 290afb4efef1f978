"""What is no proper request is refused by name, and changes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from prometheus_client import REGISTRY

from services.ledger.tests.http.client import DOCUMENT, Api, running
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

USER = "invalid_user"
BODIES: list[tuple[str, dict[str, Any], str, str]] = [
    ("/charges", {"user": "ann", "amount": 1.5}, "amount_not_string", "amount"),
    ("/charges", {"user": "ann", "amount": True}, "amount_not_string", "amount"),
    ("/charges", {"user": "ann", "amount": "1e3"}, "amount_invalid", "amount"),
    ("/charges", {"user": "ann", "amount": "١"}, "amount_invalid", "amount"),
    ("/charges", {"user": "ann", "amount": " 1"}, "amount_invalid", "amount"),
    ("/charges", {"user": "ann", "amount": ""}, "amount_invalid", "amount"),
    ("/charges", {"user": "ann", "amount": "NaN"}, "amount_invalid", "amount"),
    ("/charges", {"user": "ann", "amount": "0.001"}, "amount_too_precise", "amount"),
    ("/charges", {"user": "ann", "amount": "0"}, "amount_not_positive", "amount"),
    ("/charges", {"user": "ann", "amount": "-1"}, "amount_not_positive", "amount"),
    ("/charges", {"user": "ann", "amount": "10000000000000.01"}, "amount_too_large", "amount"),
    ("/charges", {"user": "ann", "amount": "9" * 60}, "amount_too_large", "amount"),
    ("/charges", {"user": "ann", "amount": "9" * 600}, "amount_too_large", "amount"),
    ("/charges", {"user": "ann", "amount": 10**30}, "amount_too_large", "amount"),
    ("/charges", {"user": "ann"}, "missing_field", "amount"),
    ("/charges", {"user": "ann", "amount": "1", "cost": "x"}, "unknown_field", "cost"),
    ("/charges", {"user": "ann", "amount": "1", "price": "x"}, "not_together", "price"),
    ("/charges", {"user": "a b", "amount": "1"}, USER, "user"),
    ("/charges", {"user": "", "amount": "1"}, USER, "user"),
    ("/charges", {"user": "@revenue", "amount": "1"}, USER, "user"),
    ("/charges", {"user": "x" * 129, "amount": "1"}, USER, "user"),
    ("/charges", {"user": 7, "amount": "1"}, "not_a_string", "user"),
    ("/charges", {"user": "ann", "amount": "1", "reference": "a\nb"}, "control_character", "reference"),
    ("/charges", {"user": "ann", "amount": "1", "description": "a\u0000b"}, "control_character", "description"),
    ("/charges", {"user": "ann", "amount": "1", "description": "a\r\nb"}, "control_character", "description"),
    ("/charges", {"user": "ann", "amount": "1", "description": "a\u2028b"}, "control_character", "description"),
    ("/charges", {"user": "ann", "amount": "1", "metadata": {"a": "b\nc"}}, "control_character", "metadata.a"),
    ("/charges", {"user": "ann", "amount": "1", "metadata": {"a": "\u001b"}}, "control_character", "metadata.a"),
    ("/charges", {"user": "ann", "amount": "1", "metadata": {"a": 1}}, "not_a_string", "metadata.a"),
    ("/charges", {"user": "ann", "amount": "1", "reason": "Free text"}, "invalid_reason", "reason"),
    ("/charges", {"user": "ann", "amount": "1", "reference": "x" * 201}, "too_long", "reference"),
    ("/grants", {"user": "ann", "amount": "1", "source": "gift"}, "not_one_of", "source"),
    ("/grants", {"user": "ann", "amount": "1", "expires_at": "tomorrow"}, "invalid_time", "expires_at"),
    ("/grants", {"user": "ann", "amount": "1", "expires_at": 1900000000}, "invalid_time", "expires_at"),
    ("/grants", {"user": "ann", "amount": "1", "expires_at": "2099-01-01T00:00:00"}, "invalid_time", "expires_at"),
    (
        "/grants",
        {"user": "ann", "amount": "1", "expires_at": "2001-01-01T00:00:00Z"},
        "expires_too_early",
        "expires_at",
    ),
    ("/grants", {"user": "ann", "amount": "1", "priority": "high"}, "not_an_integer", "priority"),
    ("/holds", {"user": "ann", "amount": "1", "ttl_s": 0}, "out_of_range", "ttl_s"),
    ("/holds", {"user": "ann", "amount": "1", "ttl_s": 90000}, "ttl_too_long", "ttl_s"),
    ("/holds", {"user": "ann", "amount": "1", "partial": "yes"}, "not_a_boolean", "partial"),
    ("/holds", {"user": "ann", "amount": "1", "grant": "grant_1"}, "invalid_id", "grant"),
    ("/transfers", {"from_user": "ann", "to_user": "ann", "amount": "1"}, "transfer_to_self", "to_user"),
    ("/adjustments", {"user": "ann", "amount": "1"}, "missing_field", "reason"),
    ("/adjustments", {"user": "ann", "amount": "0", "reason": "fix"}, "amount_zero", "amount"),
]


async def test_fields_that_are_wrong(api: Api) -> None:
    admin = api.as_("admin")
    await admin.grant("ann", "10")
    before = await admin.state("ann")
    for number, (path, body, code, field) in enumerate(BODIES):
        refused = await admin.post(path, body, key=f"wrong-{number}", status=400)
        assert refused["code"] == "invalid_request"
        assert (refused["errors"][0]["code"], refused["errors"][0]["field"]) == (code, field), (path, body)
        assert refused["request_id"]
        await admin.get(f"/commands/wrong-{number}", user="ann", status=404)
    after = await admin.state("ann")
    assert {**after, "time": ""} == {**before, "time": ""}


async def test_bodies_that_cannot_be_read(api: Api) -> None:
    for content in (b"", b"{", b"[]", b"null", b'{"user":"ann","amount":"1"} x', b"\xff\xfe", b"[" * 60_000):
        answer = await api.send("POST", "/charges", content=content)
        assert answer.status_code == 400, content[:20]
        assert answer.json()["code"] == "invalid_request"
        assert len(answer.content) < 2000
    for depth in (100, 10_000):
        deep = b'{"user":"ann","amount":"1","metadata":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
        assert (await api.send("POST", "/charges", content=deep)).status_code == 400
    lone = await api.send("POST", "/charges", content=b'{"user":"ann","amount":"1","reference":"\\ud800"}')
    assert lone.status_code == 400


async def test_a_body_over_the_limit(api: Api) -> None:
    answer = await api.send("POST", "/charges", content=b" " * 70_000)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")
    wide = {"user": "ann", "amount": "1", **{f"field{n}": n for n in range(3000)}}
    refused = await api.send("POST", "/charges", wide)
    assert refused.status_code == 400
    assert len(refused.json()["errors"]) <= 50


async def test_keys(api: Api) -> None:
    missing = await api.send("POST", "/grants", {"user": "ann", "amount": "1"}, key="")
    assert (missing.status_code, missing.json()["code"]) == (400, "idempotency_key_missing")
    for key in ("", "x" * 201, "a\tb", " a"):
        headers = {"Idempotency-Key": key}
        answer = await api.send("POST", "/grants", {"user": "ann", "amount": "1"}, key="", headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "invalid_request"), key
    await api.post("/grants", {"user": "ann", "amount": "1"}, key="~!" * 100)
    missing = await api.as_("admin").send("PUT", "/accounts/ann", {"overdraft": "1"}, key="")
    assert missing.json()["code"] == "idempotency_key_missing"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": "0"}, "out_of_range"),
        ({"limit": "501"}, "out_of_range"),
        ({"limit": "x"}, "not_an_integer"),
        ({"cursor": "x"}, "invalid_cursor"),
        ({"color": "red"}, "unknown_field"),
        ({"since": "yesterday"}, "invalid_time"),
        ({"asset": "a b"}, "invalid_name"),
    ],
)
async def test_queries(api: Api, query: dict[str, str], code: str) -> None:
    await api.grant("ann", "1")
    refused = await api.get("/accounts/ann/transactions", status=400, **query)
    assert refused["errors"][0]["code"] == code


async def test_paths(api: Api) -> None:
    assert (await api.get("/accounts/a b/state", status=400))["errors"][0]["code"] == "invalid_user"
    assert (await api.get("/accounts/@app/state", status=400))["errors"][0]["code"] == "invalid_user"
    assert (await api.post("/nothing", {}, status=404))["code"] == "route_not_found"
    assert (await api.send("DELETE", "/grants")).json()["code"] == "method_not_allowed"


async def test_a_hold_is_resolved_once(api: Api) -> None:
    await api.grant("ann", "10")
    hold = await api.post("/holds", {"user": "ann", "amount": "4"})
    await api.post(f"/holds/{hold['id']}/release", {}, status=200)
    late = await api.post(f"/holds/{hold['id']}/capture", {}, status=409)
    assert (late["code"], late["hold"]["status"]) == ("hold_resolved", "released")
    for verb, body in (("release", {}), ("extend", {"ttl_s": 5})):
        assert (await api.post(f"/holds/{hold['id']}/{verb}", body, status=409))["code"] == "hold_resolved"
    taken = await api.post("/holds", {"user": "ann", "amount": "4"})
    over = await api.post(f"/holds/{taken['id']}/capture", {"amount": "4.01"}, status=409)
    assert over["code"] == "capture_exceeds_tolerance"
    assert (await api.get(f"/holds/{taken['id']}"))["status"] == "open"


async def test_a_grant_of_somebody_else_cannot_be_held(api: Api) -> None:
    await api.grant("ann", "5")
    foreign = await api.grant("bob", "100")
    body = {"user": "ann", "amount": "50", "grant": foreign["id"]}
    assert (await api.post("/holds", body, status=404))["code"] == "grant_not_found"
    assert (await api.state("bob"))["available"] == "100.00"
    spent = await api.grant("ann", "1")
    await api.post("/holds", {"user": "ann", "amount": "1", "grant": spent["id"]})
    short = await api.post("/holds", {"user": "ann", "amount": "1", "grant": spent["id"]}, status=402)
    assert short["code"] == "insufficient_credits"


async def test_refunds_and_revokes_have_their_limits(api: Api) -> None:
    grant = await api.grant("ann", "10")
    charge = await api.post("/charges", {"user": "ann", "amount": "4"})
    await api.post(f"/charges/{charge['id']}/refund", {"amount": "3"})
    over = await api.post(f"/charges/{charge['id']}/refund", {"amount": "2"}, status=409)
    assert (over["code"], over["refundable"]) == ("refund_exceeds_charge", "1.00")
    blocked = await api.post(f"/grants/{grant['id']}/revoke", {"policy": "block"}, status=409)
    assert blocked["code"] == "grant_spent"
    closed = api.as_("admin")
    await closed.post("/accounts/ann/close", {}, status=200)
    assert (await api.post("/charges", {"user": "ann", "amount": "1"}, status=409))["code"] == "account_closed"


async def test_actions_earn_once(api: Api) -> None:
    rules = {
        "start": {"amount": "5"},
        "personal": {"amount": "2", "group": "way"},
        "business": {"amount": "2", "group": "way"},
    }
    await api.as_("admin").put("/config", {"assets": {"coins": {"scale": 2}}, "earning_rules": rules})
    assert (await api.post("/actions", {"user": "ann", "action": "start"}))["amount"] == "5.00"
    again = await api.post("/actions", {"user": "ann", "action": "start"}, status=409)
    assert again["code"] == "already_earned"
    await api.post("/actions", {"user": "ann", "action": "personal"})
    assert (await api.post("/actions", {"user": "ann", "action": "business"}, status=409))["code"] == "already_earned"
    assert (await api.post("/actions", {"user": "ann", "action": "jump"}, status=404))["code"] == "unknown_action"


async def test_features_that_are_off(api: Api) -> None:
    switches = {"transfers": False, "holds": False, "actions": False}
    await api.as_("admin").put("/config", {"assets": {"coins": {"scale": 2}}, "switches": switches})
    await api.grant("ann", "10")
    for path, body in (
        ("/transfers", {"from_user": "ann", "to_user": "bob", "amount": "1"}),
        ("/holds", {"user": "ann", "amount": "1"}),
        ("/actions", {"user": "ann", "action": "start"}),
    ):
        assert (await api.post(path, body, status=403))["code"] == "feature_disabled"
    assert (await api.as_("admin").send("GET", "/test-clock")).json()["code"] == "feature_disabled"


async def test_refusals_are_counted_by_name(api: Api) -> None:
    labels = {"type": "charge", "source": "http", "outcome": "insufficient_credits"}
    before = REGISTRY.get_sample_value("ledger_commands_total", labels) or 0
    await api.post("/charges", {"user": "ann", "amount": "1"}, status=402)
    assert REGISTRY.get_sample_value("ledger_commands_total", labels) == before + 1
    labels = {"method": "POST", "route": "/v1/charges", "status": "400"}
    before = REGISTRY.get_sample_value("http_requests_total", labels) or 0
    await api.post("/charges", {"user": "ann"}, status=400)
    assert REGISTRY.get_sample_value("http_requests_total", labels) == before + 1


async def test_a_revoke_names_a_hold_that_ended_or_another_users(books: Database, tmp_path: Path) -> None:
    """Told the same by the process that ended the hold, and by one that has nothing of it in memory."""
    async with running(books, tmp_path) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        grant = (await api.grant("ann", "10"))["id"]
        await api.grant("ben", "10")
        hold, other = [(await api.post("/holds", {"user": user, "amount": "4"}))["id"] for user in ("ann", "ben")]
        await api.post(f"/holds/{hold}/capture", {"amount": "3"})
        await api.post(f"/holds/{other}/release", status=200)
        await _revoked_with_ended(api, grant, hold, other)
    async with running(books, tmp_path) as api:
        await _revoked_with_ended(api, grant, hold, other)
        assert (await api.state("ann"))["settled"] == "7.00"


async def _revoked_with_ended(api: Api, grant: str, hold: str, other: str) -> None:
    ended = await api.post(f"/grants/{grant}/revoke", {"policy": "absorb", "hold": hold}, status=409)
    assert (ended["code"], ended["hold"]["status"], ended["hold"]["captured"]) == ("hold_resolved", "captured", "3.00")
    strange = await api.post(f"/grants/{grant}/revoke", {"policy": "absorb", "hold": other}, status=404)
    assert strange["code"] == "hold_not_found"
