"""Lists of accounts, lots and holds: in pages, narrowed, and whole as files."""

from __future__ import annotations

import csv
import io
import json
from typing import Any

import pytest

from services.ledger.tests.http.client import Api

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


async def listed(api: Api, path: str, **params: Any) -> list[dict[str, Any]]:
    """One page of a list."""
    answer = await api.send("GET", path, params=params)
    assert answer.status_code == 200, answer.text
    data: list[dict[str, Any]] = answer.json()["data"]
    return data


async def users(api: Api, **params: Any) -> list[str]:
    return [account["user"] for account in await listed(api, "/accounts", **params)]


async def lines(api: Api, path: str, **params: Any) -> list[dict[str, Any]]:
    """A list as JSON Lines; its CSV has the same rows."""
    told = await api.send("GET", path, params={**params, "format": "jsonl"})
    assert told.status_code == 200, told.text
    assert told.headers["content-type"] == "application/jsonl"
    rows = [json.loads(line) for line in told.text.splitlines()]
    table = await api.send("GET", path, params=params, headers={"Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/csv")
    cells = list(csv.DictReader(io.StringIO(table.text)))
    assert len(cells) == len(rows)
    for row, cell in zip(rows, cells, strict=True):
        # What a spreadsheet would take for a formula is quoted.
        differing = {name for name, value in row.items() if isinstance(value, str) and cell[name].lstrip("'") != value}
        assert not differing
    return rows


async def test_accounts_in_pages_and_as_files(api: Api) -> None:
    names = [f"user-{number:02d}" for number in range(7)]
    for number, name in enumerate(names):
        await api.grant(name, str(number + 1))
    await api.as_("admin", app="other").put("/config", {"assets": {"coins": {"scale": 0}}})
    await api.as_("admin", app="other").grant("stranger", "1")
    first = await api.get("/accounts", limit=3)
    assert first["has_more"]
    rest = await api.get("/accounts", limit=4, cursor=first["next_cursor"])
    assert not rest["has_more"]
    assert [account["user"] for account in first["data"] + rest["data"]] == names
    for account in first["data"]:
        assert account == await api.get(f"/accounts/{account['user']}")
    assert [row["user"] for row in await lines(api, "/accounts")] == names
    assert (
        await lines(api, "/accounts", settled_min="5", settled_max="6")
        == (await api.get("/accounts", settled_min="5", settled_max="6"))["data"]
    )


async def test_accounts_by_what_they_are(api: Api) -> None:
    admin = api.as_("admin")
    for name, amount in (("ann", "1"), ("ben", "2"), ("cid", "3"), ("dee", "4")):
        grant = await api.grant(name, amount)
    await admin.post("/accounts/ben/freeze", {}, status=200)
    await admin.post("/accounts/cid/freeze", {}, status=200)
    await admin.post("/accounts/cid/close", {}, status=200)
    await api.post("/charges", {"user": "dee", "amount": "4"})
    await api.post(f"/grants/{grant['id']}/revoke", {"policy": "debt"})
    assert await users(api, status="open") == ["ann", "dee"]
    assert await users(api, status="frozen") == ["ben"]
    assert await users(api, status="closed") == ["cid"]
    assert await users(api, settled_min="1.5") == ["ben", "cid"]
    assert await users(api, settled_max="2.00") == ["ann", "ben", "dee"]
    assert await users(api, owed_min="0.01") == ["dee"]
    assert await users(api, plan="pro") == []
    refused = await api.get("/accounts", status=400, settled_min="1.555")
    assert refused["errors"][0]["code"] == "amount_too_precise"
    await api.get("/accounts", status=404, asset="gems")
    await api.get("/accounts", status=400, cursor="nonsense")
    await api.as_("user", "ann").get("/accounts", status=403)


async def test_an_accounts_list_shows_what_is_due(api: Api) -> None:
    lab = api.as_("admin", app="lab")
    await lab.put("/config", {"assets": {"coins": {"scale": 0}}, "test_mode": {"clock_start": "2030-01-01T00:00:00Z"}})
    await lab.grant("ann", "10", expires_at="2030-01-02T00:00:00Z")
    await lab.put("/test-clock", {"now": "2030-01-03T00:00:00Z"})
    assert [account["available"] for account in (await lab.get("/accounts"))["data"]] == ["0"]


async def test_lots_narrowed_and_as_files(api: Api) -> None:
    spent = await api.grant("ann", "1", source="paid", cost_basis={"amount_minor": 99, "currency": "EUR"})
    await api.post("/charges", {"user": "ann", "amount": "1"})
    between = (await api.state("ann"))["time"]
    gift = await api.grant("ann", "2", source="promo", scope=["chat"])
    path = "/accounts/ann/lots"
    assert [lot["id"] for lot in await lines(api, path)] == [gift["id"]]
    assert [lot["id"] for lot in await lines(api, path, all=True)] == [spent["id"], gift["id"]]
    assert [lot["id"] for lot in await lines(api, path, all=True, source="paid")] == [spent["id"]]
    assert [lot["id"] for lot in await lines(api, path, all=True, since=between)] == [gift["id"]]
    assert [lot["id"] for lot in await lines(api, path, all=True, until=between)] == [spent["id"]]
    assert await lines(api, path, all=True) == (await api.get(path, all=True))["data"]


async def test_holds_narrowed_and_as_files(api: Api) -> None:
    await api.grant("ann", "10")
    first = await api.post("/holds", {"user": "ann", "amount": "1"})
    await api.post(f"/holds/{first['id']}/release", {}, status=200)
    between = (await api.state("ann"))["time"]
    second = await api.post("/holds", {"user": "ann", "amount": "1", "reference": "=1+1"})
    path = "/accounts/ann/holds"
    assert [hold["id"] for hold in (await api.get(path))["data"]] == [second["id"]]
    for params, ids in (
        ({"all": True}, [first["id"], second["id"]]),
        ({"status": "released"}, [first["id"]]),
        ({"status": "open"}, [second["id"]]),
        ({"all": True, "since": between}, [second["id"]]),
        ({"all": True, "until": between}, [first["id"]]),
    ):
        assert [hold["id"] for hold in await listed(api, path, **params)] == ids, params
    told = await api.send("GET", path, params={"all": True, "format": "csv"})
    assert [row["reference"] for row in csv.DictReader(io.StringIO(told.text))] == ["", "'=1+1"]
    assert [hold["id"] for hold in await lines(api, path, status="released")] == [first["id"]]


async def test_events_and_statistics_as_files(api: Api) -> None:
    admin = api.as_("admin")
    for user in ("ann", "ben", "cid"):
        await api.grant(user, "1")
    assert (
        await lines(admin, "/events", type="credits_granted")
        == (await admin.get("/events", type="credits_granted"))["data"]
    )
    assert len(await lines(admin, "/events")) == 7
    (row,) = await lines(api, "/statistics")
    assert (row["asset"], row["accounts"], row["settled"]) == ("coins", 3, "3.00")
