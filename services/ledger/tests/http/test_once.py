"""A command takes effect once: by its key, and for ever by its `unique_ref`."""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg
import pytest

from services.ledger.tests.http.client import DOCUMENT, Api, running
from tests.plugins.postgres import Database
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def test_a_repeat_gets_the_first_answer(api: Api) -> None:
    await api.grant("ann", "10")
    first = await api.send("POST", "/charges", {"user": "ann", "amount": "3"}, key="k")
    assert "idempotency-replayed" not in first.headers
    for same in ({"user": "ann", "amount": 3}, {"amount": "3.00", "user": "ann", "service": None}):
        again = await api.send("POST", "/charges", same, key="k")
        assert (again.status_code, again.content) == (201, first.content)
        assert again.headers["idempotency-replayed"] == "true"
    assert (await api.state("ann"))["settled"] == "7.00"


@pytest.mark.parametrize(
    "other",
    [
        {"user": "ann", "amount": "4"},
        {"user": "ann", "amount": "3", "service": "video"},
        {"user": "ann", "amount": "3", "description": "x"},
        {"user": "ann", "amount": "3", "reference": "x"},
    ],
)
async def test_another_body_is_refused(api: Api, other: dict[str, str]) -> None:
    await api.grant("ann", "10")
    await api.post("/charges", {"user": "ann", "amount": "3"}, key="k")
    refused = await api.post("/charges", other, key="k", status=422)
    assert refused["code"] == "idempotency_key_reused"
    assert (await api.post("/grants", {"user": "ann", "amount": "3"}, key="k", status=422))["status"] == 422
    assert (await api.state("ann"))["settled"] == "7.00"


async def test_the_object_in_the_path_is_part_of_the_command(api: Api) -> None:
    await api.grant("ann", "10")
    holds = [(await api.post("/holds", {"user": "ann", "amount": "1"}))["id"] for _ in range(2)]
    await api.post(f"/holds/{holds[0]}/capture", {}, key="k")
    assert (await api.post(f"/holds/{holds[1]}/capture", {}, key="k", status=422))["code"] == "idempotency_key_reused"
    assert (await api.post(f"/holds/{holds[0]}/capture", {}, key="k"))["id"] == holds[0]


async def test_a_key_belongs_to_its_caller_and_user(api: Api) -> None:
    await api.grant("ann", "10", unique_ref="a")
    first = await api.post("/charges", {"user": "ann", "amount": "3"}, key="k")
    other = await api.as_("service", sub="other").post("/charges", {"user": "ann", "amount": "3"}, key="k")
    assert first["id"] != other["id"]
    assert (await api.post("/charges", {"user": "bob", "amount": "3"}, key="k", status=402))["status"] == 402


async def test_a_repeat_in_flight_waits_for_the_same_answer(api: Api) -> None:
    await api.grant("ann", "10")
    body = {"user": "ann", "amount": "3"}
    answers = await asyncio.gather(*(api.send("POST", "/charges", body, key="k") for _ in range(20)))
    assert {answer.content for answer in answers} == {answers[0].content}
    assert sum("idempotency-replayed" not in answer.headers for answer in answers) == 1
    assert (await api.state("ann"))["settled"] == "7.00"


async def test_a_refusal_is_an_outcome(api: Api) -> None:
    """A refused command does not succeed later because it was delivered again."""
    refused = await api.send("POST", "/charges", {"user": "ann", "amount": "3"}, key="k")
    assert refused.status_code == 402
    await api.grant("ann", "10")
    again = await api.send("POST", "/charges", {"user": "ann", "amount": "3"}, key="k")
    assert (again.status_code, again.content) == (402, refused.content)
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["content-type"] == "application/problem+json"
    await api.post("/charges", {"user": "ann", "amount": "3"})


@pytest.mark.parametrize(
    ("path", "body", "code"),
    [
        ("/holds/hold_0001ARZ3NDEKTSV4RRFFQ69G5FAV/capture", {}, "hold_not_found"),
        ("/charges/charge_0001ARZ3NDEKTSV4RRFFQ69G5FAV/refund", {}, "charge_not_found"),
        ("/charges", {"user": "ann", "amount": "1", "asset": "gold"}, "unknown_asset"),
    ],
)
async def test_what_was_not_found_is_not_found_again(api: Api, path: str, body: dict[str, str], code: str) -> None:
    for _ in range(3):
        assert (await api.post(path, body, key="k", status=404))["code"] == code


async def test_a_mistake_leaves_the_key_free(api: Api) -> None:
    await api.grant("ann", "10")
    await api.post("/charges", {"user": "ann", "amount": "0.001"}, key="k", status=400)
    await api.post("/charges", {"user": "ann", "amount": "1"}, key="k")


async def test_a_unique_ref_makes_it_happen_once_for_ever(api: Api) -> None:
    first = await api.post("/grants", {"user": "ann", "amount": "5", "unique_ref": "order-1"})
    same = {"user": "ann", "amount": "5.0", "unique_ref": "order-1", "description": "again", "reference": "r"}
    again = await api.send("POST", "/grants", same)
    assert (again.status_code, again.json()) == (201, first)
    assert again.headers["idempotency-replayed"] == "true"
    other = await api.post("/grants", {"user": "ann", "amount": "6", "unique_ref": "order-1"}, status=409)
    assert (other["code"], other["first"]) == ("unique_ref_taken", first["id"])
    await api.post("/grants", {"user": "bob", "amount": "6", "unique_ref": "order-1"})
    await api.post("/charges", {"user": "ann", "amount": "1", "unique_ref": "order-1"})
    assert (await api.state("ann"))["settled"] == "4.00"


async def test_a_refusal_claims_no_unique_ref(api: Api) -> None:
    await api.post("/charges", {"user": "ann", "amount": "1", "unique_ref": "c"}, status=402)
    await api.grant("ann", "1")
    await api.post("/charges", {"user": "ann", "amount": "1", "unique_ref": "c"})


async def test_freezes_are_named_by_unique_ref_and_may_come_again(api: Api) -> None:
    admin = api.as_("admin")
    await admin.grant("ann", "10")
    for _ in range(2):
        frozen = await admin.post("/accounts/ann/freeze", {"unique_ref": "risk"}, status=200)
        assert frozen["freezes"] == ["risk"]
        both = await admin.post("/accounts/ann/freeze", {}, status=200)
        assert both["freezes"] == ["risk", "manual"]
        refused = await admin.post("/charges", {"user": "ann", "amount": "1"}, status=409)
        assert refused["code"] == "account_frozen"
        await admin.post("/accounts/ann/unfreeze", {"unique_ref": "risk"}, status=200)
        await admin.post("/charges", {"user": "ann", "amount": "1"}, status=409)
        assert (await admin.post("/accounts/ann/unfreeze", {}, status=200))["freezes"] == []
        await admin.post("/charges", {"user": "ann", "amount": "1"})
    missing = await admin.post("/accounts/ann/unfreeze", {}, status=404)
    assert missing["code"] == "freeze_not_found"


async def test_a_config_is_applied_once_by_its_version(api: Api) -> None:
    admin = api.as_("admin", app="fresh")
    document = {"assets": {"coins": {"scale": 0}}}
    planned = await admin.send("PUT", "/config", document, params={"dry_run": "true"}, key="")
    assert planned.json() == {
        "app": "fresh",
        "version": 0,
        "changes": [{"path": "assets", "before": None, "after": {"coins": {"scale": 0}}}],
    }
    await admin.get("/config", status=404)
    made = await admin.send("PUT", "/config", document, headers={"If-Match": '"0"'}, key="")
    assert (made.status_code, made.json()["version"], made.headers["etag"]) == (200, 1, '"1"')
    late = await admin.send("PUT", "/config", {**document, "zone": "Europe/Paris"}, headers={"If-Match": '"0"'})
    assert (late.status_code, late.json()["code"]) == (412, "version_mismatch")
    again = await admin.send("PUT", "/config", document)
    assert again.json()["version"] == 1
    changed = await admin.put("/config", {**document, "zone": "Europe/Paris"})
    assert changed["version"] == 2
    assert (await admin.get("/config"))["config"]["zone"] == "Europe/Paris"
    gone = await admin.put("/config", {"assets": {"gold": {"scale": 0}}}, status=409)
    assert gone["code"] == "config_conflict"
    odd = await admin.send("PUT", "/config", document, headers={"If-Match": "1"})
    assert odd.json()["errors"][0]["code"] == "invalid_if_match"


async def test_quotes_that_ended_long_ago_are_forgotten_and_no_others(books: Database, tmp_path: Path) -> None:
    async with running(books, tmp_path) as api:
        await api.as_("admin").put("/config", {**DOCUMENT, "prices": {"operations": {"text": {"amount": "1"}}}})
        kept, old = [await api.post("/quotes", {"user": "ann", "price": "text"}) for _ in range(2)]
    pool = await asyncpg.create_pool(books.owner_dsn)
    async with pool:
        aged = "UPDATE quotes SET ends_at = now() - make_interval(days => $2) WHERE id = $1"
        await pool.execute(aged, kept["id"], 34)
        await pool.execute(aged, old["id"], 36)
        # More than are forgotten at once.
        await pool.execute(
            "INSERT INTO quotes SELECT id || n, app, user_id, asset, card, usage, made_at, valid_until, ends_at"
            " FROM quotes, generate_series(1, 2500) AS n WHERE id = $1",
            old["id"],
        )
        async with running(books, tmp_path):

            async def forgotten() -> bool:
                return [row["id"] for row in await pool.fetch("SELECT id FROM quotes LIMIT 2")] == [kept["id"]]

            await eventually(forgotten)
