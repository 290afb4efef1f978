"""What can be read: state now and in the past, lots, holds, the journal, events, statistics, outcomes."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from typing import Any

import pytest

from services.ledger.tests.http.client import Api

pytestmark = pytest.mark.anyio


async def test_state_shows_lots_holds_and_places(api: Api) -> None:
    await api.grant("ann", "10", expires_at="2099-01-01T00:00:00Z")
    await api.grant("ann", "5", scope=["video"])
    held = await api.post("/holds", {"user": "ann", "amount": "4", "ttl_s": 60})
    state = await api.state("ann")
    assert (state["settled"], state["held"], state["available"]) == ("15.00", "4.00", "6.00")
    assert state["next_expiry"] == "2099-01-01T00:00:00.000000Z"
    assert state["next_reset"] is None
    assert [hold["id"] for hold in state["holds"]] == [held["id"]]
    assert (state["position"], state["partition"]) == (held["position"], held["partition"])
    assert state["account_version"] == 4
    assert (await api.state("ann", service="video"))["available"] == "11.00"


async def test_state_of_the_past_by_position_and_time(api: Api) -> None:
    first = await api.grant("ann", "10")
    between = (await api.state("ann"))["time"]
    await asyncio.sleep(0.01)
    charged = await api.post("/charges", {"user": "ann", "amount": "3"})
    await api.post(f"/charges/{charged['id']}/refund", {"amount": "1"})
    by_position = await api.state("ann", position=first["position"])
    assert (by_position["settled"], by_position["position"]) == ("10.00", first["position"])
    by_time = await api.state("ann", at=between)
    assert (by_time["settled"], by_time["time"]) == ("10.00", between)
    assert (await api.state("ann"))["settled"] == "8.00"
    await api.get("/accounts/ann/state", status=404, at="2020-01-01T00:00:00Z")
    future = await api.get("/accounts/ann/state", status=400, at="2099-01-01T00:00:00Z")
    assert future["errors"][0]["code"] == "time_in_future"


async def test_the_past_equals_what_each_write_said(api: Api) -> None:
    """A read equals the fold at its stated position, whatever happened after it, dead lots and refunds included."""
    said: list[Any] = [await api.grant("ann", "10"), await api.grant("ann", "2", priority=1)]
    charge = await api.post("/charges", {"user": "ann", "amount": "5"})
    said.append(charge)
    hold = await api.post("/holds", {"user": "ann", "amount": "4"})
    said.append(hold)
    said.append(await api.post(f"/holds/{hold['id']}/capture", {"amount": "1", "final": False}))
    said.append(await api.post(f"/charges/{charge['id']}/refund", {}))
    said.append(await api.post(f"/holds/{hold['id']}/release", {}, status=200))
    said.append(await api.post(f"/grants/{said[0]['id']}/revoke", {"policy": "debt"}))
    for answer in said:
        past = await api.state("ann", position=answer["position"])
        for name in ("settled", "held", "owed", "available"):
            assert past[name] == answer[name], (name, answer)


async def test_min_position_waits_and_gives_up(api: Api) -> None:
    granted = await api.grant("ann", "1")
    waiting = asyncio.create_task(api.state("ann", min_position=granted["position"] + 1))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    charged = await api.post("/charges", {"user": "ann", "amount": "1"})
    assert (await waiting)["position"] == charged["position"]
    api.app.state.core.settings.__dict__["read_wait_s"] = 0.05
    refused = await api.send("GET", "/accounts/ann/state", params={"min_position": 10**9})
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")


async def test_an_expired_lot_is_not_there_whether_or_not_a_sweep_ran(api: Api) -> None:
    admin = api.as_("admin", app="lab")
    await admin.put(
        "/config", {"assets": {"coins": {"scale": 0}}, "test_mode": {"clock_start": "2030-01-01T00:00:00Z"}}
    )
    await admin.grant("ann", "10", expires_at="2030-01-02T00:00:00Z")
    await admin.grant("ann", "5")
    before = await admin.state("ann")
    assert (before["available"], before["time"]) == ("15", "2030-01-01T00:00:00.000000Z")
    await admin.put("/test-clock", {"now": "2030-01-03T00:00:00Z"})
    after = await admin.state("ann")
    assert (after["available"], after["next_expiry"]) == ("5", None)
    assert (await admin.state("ann", at="2030-01-01T12:00:00Z"))["available"] == "15"
    assert (await admin.state("ann", at="2030-01-02T12:00:00Z"))["available"] == "5"
    events: list[str] = []
    async with asyncio.timeout(10):
        while "lot_expired" not in events:
            lines = (await admin.get("/accounts/ann/transactions"))["data"]
            events = [line["type"] for line in lines]
            await asyncio.sleep(0.01)
    assert lines[0]["amount"] == "-10"
    assert lines[0]["time"] == "2030-01-03T00:00:00.000000Z"


async def test_lots_and_holds_in_pages(api: Api) -> None:
    grants = [(await api.grant("ann", "1"))["id"] for _ in range(5)]
    first = await api.get("/accounts/ann/lots", limit=3)
    assert [lot["id"] for lot in first["data"]] == grants[:3]
    rest = await api.get("/accounts/ann/lots", limit=3, cursor=first["next_cursor"])
    assert [lot["id"] for lot in rest["data"]] == grants[3:]
    assert not rest["has_more"]
    hold = await api.post("/holds", {"user": "ann", "amount": "5"})
    assert [h["id"] for h in (await api.get("/accounts/ann/holds"))["data"]] == [hold["id"]]
    await api.post(f"/holds/{hold['id']}/capture", {})
    assert (await api.get("/accounts/ann/holds"))["data"] == []
    ended = await api.get("/accounts/ann/holds", all="true")
    assert [(h["status"], h["captured"]) for h in ended["data"]] == [("captured", "5.00")]
    assert (await api.get("/accounts/ann/lots"))["data"] == []
    assert {lot["status"] for lot in (await api.get("/accounts/ann/lots", all="true"))["data"]} == {"spent"}


async def test_objects_by_id(api: Api) -> None:
    grant = await api.grant("ann", "10")
    hold = await api.post("/holds", {"user": "ann", "amount": "4", "reference": "job-1"})
    captured = await api.post(f"/holds/{hold['id']}/capture", {"amount": "3"})
    await api.post(f"/charges/{captured['charge']}/refund", {"amount": "1"})
    assert (await api.get(f"/grants/{grant['id']}"))["remaining"] == "8.00"
    told = await api.get(f"/holds/{hold['id']}")
    assert (told["status"], told["captured"], told["user"], told["reference"]) == ("captured", "3.00", "ann", "job-1")
    charge = await api.get(f"/charges/{captured['charge']}")
    assert (charge["amount"], charge["refunded"], charge["hold"]) == ("3.00", "1.00", hold["id"])
    for word in ("grants", "holds", "charges", "transfers"):
        for name in ("nonsense", f"{word[:-1]}_ff01ARZ3NDEKTSV4RRFFQ69G5FAV"):
            gone = await api.get(f"/{word}/{name}", status=404)
            assert gone["code"] == f"{word[:-1]}_not_found"


async def test_journal_filters_and_pages(api: Api) -> None:
    await api.grant("ann", "10", description="a present", metadata={"from": "bob"})
    await api.post("/charges", {"user": "ann", "amount": "3", "reference": "r1", "member": "kid", "reason": "game"})
    await api.post("/charges", {"user": "ann", "amount": "2"})
    lines = (await api.get("/accounts/ann/transactions"))["data"]
    assert [line["type"] for line in lines] == [
        "credits_charged",
        "credits_charged",
        "credits_granted",
        "account_opened",
    ]
    assert [(line["amount"], line["before"], line["after"]) for line in lines[:3]] == [
        ("-2.00", "7.00", "5.00"),
        ("-3.00", "10.00", "7.00"),
        ("10.00", "0.00", "10.00"),
    ]
    assert (lines[2]["description"], lines[2]["metadata"]) == ("a present", {"from": "bob"})
    assert (lines[1]["reference"], lines[1]["member"], lines[1]["reason"]) == ("r1", "kid", "game")
    only = {"reference": "r1", "member": "kid", "type": "credits_charged", "since": lines[1]["time"]}
    for name, value in only.items():
        found = (await api.get("/accounts/ann/transactions", **{name: value}))["data"]
        assert lines[1]["id"] in [line["id"] for line in found], name
        assert lines[3]["id"] not in [line["id"] for line in found], name
    assert (await api.get("/accounts/ann/transactions", until=lines[3]["time"]))["data"] == []
    page = await api.get("/accounts/ann/transactions", limit=3)
    rest = await api.get("/accounts/ann/transactions", limit=3, cursor=page["next_cursor"])
    assert [line["id"] for line in page["data"] + rest["data"]] == [line["id"] for line in lines]
    fault = await api.get("/accounts/ann/transactions", status=400, type="nothing")
    assert fault["errors"][0]["code"] == "invalid_type"


async def test_journal_as_files(api: Api) -> None:
    await api.grant("ann", "10", metadata={"a": "1"}, description="=1+1")
    await api.post("/charges", {"user": "ann", "amount": "3"})
    answer = await api.send("GET", "/accounts/ann/transactions", headers={"Accept": "text/csv"})
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [row["amount"] for row in rows] == ["-3.00", "10.00", "0.00"]
    assert rows[1]["description"] == "'=1+1"
    answer = await api.send("GET", "/accounts/ann/transactions", params={"format": "jsonl"})
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert lines == (await api.get("/accounts/ann/transactions"))["data"]


async def test_a_description_may_have_lines_and_tabs(api: Api) -> None:
    text = "Two of these:\n\tred\n\tgreen"
    await api.grant("ann", "10", description=text, metadata={"note": "one line"})
    (line, _) = (await api.get("/accounts/ann/transactions"))["data"]
    assert (line["description"], line["metadata"]) == (text, {"note": "one line"})
    answer = await api.send("GET", "/accounts/ann/transactions", params={"format": "csv"})
    assert [row["description"] for row in csv.DictReader(io.StringIO(answer.text))] == [text, ""]


async def test_events_of_the_app_in_pages(api: Api) -> None:
    admin = api.as_("admin")
    for number in range(12):
        await api.grant(f"user{number}", "1")
    every = await admin.get("/events", limit=500)
    assert len(every["data"]) == 25
    times = [event["time"] for event in every["data"]]
    assert times == sorted(times, reverse=True)
    seen: list[str] = []
    cursor: dict[str, Any] = {}
    while True:
        page = await admin.get("/events", limit=4, **cursor)
        seen += [event["id"] for event in page["data"]]
        if not page["has_more"]:
            break
        cursor = {"cursor": page["next_cursor"]}
    assert sorted(seen) == sorted(event["id"] for event in every["data"])
    assert len(set(seen)) == 25
    granted = await admin.get("/events", type="ledger.credits_granted.v1", user="user3")
    assert [event["user"] for event in granted["data"]] == ["user3"]
    assert granted["data"][0]["payload"]["lot"]["amount"] == "1.00"
    applied = await admin.get("/events", user="@app")
    assert [event["type"] for event in applied["data"]] == ["ledger.config_applied.v1"]


async def test_statistics(api: Api) -> None:
    grant = await api.grant("ann", "10", source="paid")
    await api.grant("bob", "5")
    await api.post("/charges", {"user": "ann", "amount": "3"})
    await api.post("/transfers", {"from_user": "ann", "to_user": "bob", "amount": "1"})
    await api.post("/holds", {"user": "bob", "amount": "2"})
    await api.post(f"/grants/{grant['id']}/revoke", {"policy": "debt"})
    (asset,) = (await api.get("/statistics"))["assets"]
    assert asset["accounts"] == 2
    assert asset["issued"] == {"paid": "10.00", "promo": "5.00"}
    assert (asset["settled"], asset["held"], asset["owed"]) == ("6.00", "2.00", "4.00")
    assert (asset["spent"], asset["revoked"], asset["breakage"]) == ("3.00", "10.00", "0.00")


async def test_outcomes_by_key(api: Api) -> None:
    granted = await api.post("/grants", {"user": "ann", "amount": "5"}, key="order/1 a")
    told = await api.get("/commands/order/1 a", user="ann")
    assert (told["status"], told["body"], told["type"], told["caller"]) == (201, granted, "grant", "tests")
    refused = await api.post("/charges", {"user": "ann", "amount": "50"}, key="k2", status=402)
    told = await api.get("/commands/k2", user="ann")
    assert (told["status"], told["body"]) == (402, refused)
    await api.get("/commands/k2", user="bob", status=404)
    other = api.as_("service", sub="other")
    await other.get("/commands/k2", user="ann", status=404)
    await other.get("/commands/k2", user="ann", caller="tests", status=403)
    admin = api.as_("admin", sub="boss")
    assert (await admin.get("/commands/k2", user="ann", caller="tests"))["status"] == 402
    moved = await api.post("/transfers", {"from_user": "ann", "to_user": "bob", "amount": "1"}, key="k3")
    told = await api.get("/commands/k3", user="ann")
    assert (told["status"], told["body"]) == (201, moved)


async def test_account_and_thresholds(api: Api) -> None:
    admin = api.as_("admin")
    await admin.put("/config", {"assets": {"coins": {"scale": 2}}, "thresholds": [{"below": "1"}]})
    await api.get("/accounts/ann", status=404)
    changed = await admin.put("/accounts/ann", {"zone": "Europe/Paris", "overdraft": "3"})
    assert (changed["zone"], changed["overdraft"], changed["available"]) == ("Europe/Paris", "3.00", "3.00")
    await admin.put("/accounts/ann/thresholds", {"thresholds": [{"below": "5", "rearm_at": "6"}]})
    told = await api.get("/accounts/ann/thresholds")
    assert told["thresholds"] == [{"below": "5.00", "rearm_at": "6.00"}]
    assert told["app"] == [{"below": "1.00", "rearm_at": "1.00"}]
    account = await api.get("/accounts/ann")
    assert (account["status"], account["zone"], account["overdraft"]) == ("open", "Europe/Paris", "3.00")
    again = await admin.put("/accounts/ann", {"overdraft": "2"})
    assert (again["zone"], again["overdraft"]) == ("Europe/Paris", "2.00")


async def test_user_reads_need_their_config(api: Api) -> None:
    nowhere = api.as_("service", app="nowhere")
    assert (await nowhere.get("/accounts/ann/state", status=404))["code"] == "app_not_found"
    assert (await nowhere.post("/grants", {"user": "a", "amount": "1"}, status=404, key="k"))["code"] == "app_not_found"
    assert (await nowhere.post("/grants", {"user": "a", "amount": "1"}, status=404, key="k"))["code"] == "app_not_found"
    unknown = await api.get("/accounts/ann/state", status=404, asset="gold")
    assert unknown["code"] == "unknown_asset"
