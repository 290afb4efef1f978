"""Budgets and earning rules as callers meet them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from services.ledger.tests.http.client import DOCUMENT, Api

pytestmark = pytest.mark.anyio
LAB: dict[str, Any] = {**DOCUMENT, "test_mode": {"clock_start": "2026-01-14T12:00:00Z"}}


async def lab(api: Api, **document: Any) -> tuple[Api, Api]:
    """A service and a manager of an app whose clock stands at noon of 14 January 2026 until it is moved."""
    await api.as_("admin", app="lab").put("/config", {**LAB, **document})
    return api.as_("service", app="lab"), api.as_("manager", app="lab")


async def to(api: Api, now: str) -> None:
    """Move the app's clock."""
    await api.as_("admin", app="lab").put("/test-clock", {"now": now})


async def test_a_budget_is_set_shown_and_refuses(api: Api) -> None:
    service, manager = await lab(api)
    await service.grant("ann", "100")
    asked = {"budgets": [{"period": "day", "limit": "10"}, {"member": "*", "period": "month", "limit": 8}]}
    told = await manager.put("/accounts/ann/budgets", asked)
    assert [(each["name"], each["limit"], each["hard"]) for each in told["budgets"]] == [
        ("day", "10.00", True),
        ("member:*:month", "8.00", True),
    ]
    await service.post("/charges", {"user": "ann", "amount": "5", "member": "seat:1"})
    hold = await service.post("/holds", {"user": "ann", "amount": "2", "member": "seat:1"})
    refused = await service.post("/charges", {"user": "ann", "amount": "1.01", "member": "seat:1"}, status=409)
    assert refused["code"] == "budget_exceeded"
    shown = {name: refused[name] for name in ("budget", "member", "limit", "used", "required", "resets_at")}
    assert shown == {
        "budget": "member:*:month",
        "member": "seat:1",
        "limit": "8.00",
        "used": "7.00",
        "required": "1.01",
        "resets_at": "2026-02-01T00:00:00.000000Z",
    }
    state = await service.state("ann")
    assert state["available"] == "93.00"
    assert state["budgets"] == (await service.get("/accounts/ann/budgets"))["budgets"]
    day, month = state["budgets"]
    assert (day["used"], day["held"], day["left"]) == ("7.00", "2.00", "3.00")
    assert (day["period_start"], day["period_end"]) == ("2026-01-14T12:00:00.000000Z", "2026-01-15T00:00:00.000000Z")
    assert [(each["member"], each["used"], each["left"]) for each in month["members"]] == [("seat:1", "7.00", "1.00")]
    await service.post(f"/holds/{hold['id']}/capture", {"amount": "1"})
    await to(api, "2026-01-15T00:00:00Z")
    day, month = (await service.get("/accounts/ann/budgets"))["budgets"]
    assert (day["used"], month["members"][0]["used"]) == ("0.00", "6.00")
    before = (await service.state("ann", at="2026-01-14T12:00:00Z"))["budgets"]
    assert before[0]["used"] == "6.00"


async def test_the_key_of_a_budget_is_the_caller(api: Api) -> None:
    await api.grant("ann", "100")
    budgets = [{"key": "proxy", "period": "lifetime", "limit": "1", "hard": True}]
    await api.as_("manager").put("/accounts/ann/budgets", {"budgets": budgets})
    await api.post("/charges", {"user": "ann", "amount": "5"})
    proxy = api.as_("service", "proxy")
    await proxy.post("/charges", {"user": "ann", "amount": "1"})
    refused = await proxy.post("/charges", {"user": "ann", "amount": "1"}, status=409)
    assert (refused["budget"], refused["resets_at"]) == ("key:proxy:lifetime", None)


@pytest.mark.parametrize(
    ("budget", "field", "code"),
    [
        ({"period": "year", "limit": "1"}, "budgets.0.period", "not_one_of"),
        ({"period": "day"}, "budgets.0.limit", "missing_field"),
        ({"period": "day", "limit": 1.5}, "budgets.0.limit", "amount_not_string"),
        ({"period": "day", "limit": "0.001"}, "budgets.0.limit", "amount_too_precise"),
        ({"period": "day", "limit": "-1"}, "budgets.0.limit", "amount_negative"),
        ({"period": "day", "limit": "1", "member": "@x"}, "budgets.0.member", "invalid_member"),
        ({"period": "day", "limit": "1", "member": "a", "key": "b"}, "budgets.0.key", "member_and_key"),
        ({"period": "day", "limit": "1", "colour": "red"}, "budgets.0.colour", "unknown_field"),
    ],
)
async def test_a_budget_that_is_none_is_named(api: Api, budget: dict[str, Any], field: str, code: str) -> None:
    manager = api.as_("manager")
    answer = await manager.send("PUT", "/accounts/ann/budgets", {"budgets": [budget]})
    assert answer.status_code == 400
    error = answer.json()["errors"][0]
    assert (error["field"], error["code"]) == (field, code)
    await api.get("/accounts/ann", status=404)


async def test_a_name_is_there_once(api: Api) -> None:
    twice = {"budgets": [{"period": "day", "limit": "1"}, {"period": "day", "limit": "2"}]}
    refused = await api.as_("manager").put("/accounts/ann/budgets", twice, status=400)
    assert refused["errors"][0]["code"] == "repeated_budget"


async def test_fifty_members_at_once_never_exceed_a_pool_nor_their_own_caps(api: Api) -> None:
    await api.grant("team", "1000")
    await api.as_("manager").put(
        "/accounts/team/budgets",
        {"budgets": [{"period": "day", "limit": "100"}, {"member": "*", "period": "day", "limit": "3"}]},
    )

    async def member(number: int) -> None:
        for turn in range(4):
            body = {"user": "team", "amount": "1", "member": f"seat:{number}"}
            if turn % 2:
                hold = await api.send("POST", "/holds", body)
                if hold.status_code == 201 and number % 2:
                    await api.post(f"/holds/{hold.json()['id']}/capture", {"amount": "0.50"})
            else:
                await api.send("POST", "/charges", body)

    await asyncio.gather(*(member(number) for number in range(50)))
    state = await api.state("team")
    pool, each = state["budgets"]
    spent = float(state["total_spent"]) + float(state["held"])
    assert float(pool["used"]) == spent <= 100
    assert sum(float(one["used"]) for one in each["members"]) == spent
    assert all(float(one["used"]) <= 3 for one in each["members"])
    assert float(pool["left"]) < 3, "the members wanted more than there was"


async def test_actions_earn_anew_with_each_day(api: Api) -> None:
    rules = {"visit": {"amount": "2", "period": "day"}, "review": {"amount": "5", "times": 9}}
    service, _ = await lab(api, earning_rules=rules, earning_caps=[{"amount": "8", "period": "week"}])
    await service.post("/actions", {"user": "ann", "action": "visit"})
    again = await service.post("/actions", {"user": "ann", "action": "visit"}, status=409)
    assert (again["code"], again["next_at"]) == ("already_earned", "2026-01-15T00:00:00.000000Z")
    await service.post("/actions", {"user": "ann", "action": "review"})
    capped = await service.post("/actions", {"user": "ann", "action": "review"}, status=409)
    assert (capped["code"], capped["cap"], capped["earned"]) == ("earning_cap_reached", "week", "7.00")
    await to(api, "2026-01-19T00:00:00Z")
    await service.post("/actions", {"user": "ann", "action": "visit"})
