"""Why things are as they are: balances add up, every lot and debt has its cause, charges and refusals tell theirs."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from services.ledger.tests.http.client import Api

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


def add(entries: list[dict[str, Any]], name: str = "amount") -> Decimal:
    return sum((Decimal(entry[name]) for entry in entries), Decimal(0))


def check_sums(told: dict[str, Any]) -> None:
    """Whatever happened: the parts of a balance, and what all kinds of events did, are the balance."""
    for name in ("settled", "held", "owed", "available"):
        assert add(told[f"{name}_is"]) == Decimal(told[name]), name
    for name in ("settled", "held", "owed"):
        assert add(told["totals"], name) == Decimal(told[name]), name
    for lot in told["lots"]:
        assert Decimal(lot["amount"]) - add(lot["uses"]) == Decimal(lot["remaining"]), lot
    assert add(told["debts"], "open") == Decimal(told["owed"])
    assert add(told["holds"], "remaining") == Decimal(told["held"])
    for entry in [*told["data"], *told["debts"], *told["settled_is"], *told["due"]]:
        assert entry["why"]
        assert entry["sentence"].endswith(".")


async def explained(api: Api, user: str = "ann", **params: Any) -> Any:
    told = await api.get(f"/accounts/{user}/explain", **params)
    check_sums(told)
    return told


def uses(told: dict[str, Any], lot: str) -> dict[str, str]:
    (found,) = [each for each in told["lots"] if each["id"] == lot]
    return {use["why"]: use["amount"] for use in found["uses"]}


async def test_a_balance_and_what_made_it(api: Api) -> None:
    manager = api.as_("manager", "mia")
    paid = await api.grant("ann", "10", source="paid", reference="order-1", reason="purchase")
    gift = await manager.post("/grants", {"user": "ann", "amount": "5", "source": "promo"})
    charge = await api.post("/charges", {"user": "ann", "amount": "7", "service": "chat", "reference": "call-1"})
    hold = await api.post("/holds", {"user": "ann", "amount": "3"})
    await api.post(f"/holds/{hold['id']}/capture", {"amount": "1", "final": False})
    await api.post(f"/charges/{charge['id']}/refund", {"amount": "4"})
    told = await explained(api)
    state = await api.state("ann")
    for name in ("settled", "held", "owed", "available", "account_version", "position", "partition"):
        assert told[name] == state[name], name
    assert {part["why"]: part["amount"] for part in told["settled_is"]} == {"lots_paid": "9.00", "lots_promo": "2.00"}
    lots = {lot["id"]: lot for lot in told["lots"]}
    made = lots[paid["id"]]["made"]
    assert (made["why"], made["actor"], made["reference"], made["reason"]) == (
        "granted",
        "service:tests",
        "order-1",
        "purchase",
    )
    assert lots[gift["id"]]["made"]["actor"] == "manager:mia"
    # The gift was spent first; a refund gives back what was taken last first.
    assert uses(told, gift["id"]) == {"charged": "5.00", "refunded": "-2.00"}
    assert uses(told, paid["id"]) == {"captured": "1.00", "refunded": "-2.00", "charged": "2.00"}
    (pinned,) = told["holds"]
    assert (pinned["id"], pinned["remaining"], pinned["captured"]) == (hold["id"], "2.00", "1.00")
    assert pinned["made"]["event"] is not None
    assert [event["why"] for event in told["data"]] == [
        "refunded",
        "captured",
        "held",
        "charged",
        "granted",
        "granted",
        "opened",
    ]
    charged = told["data"][3]
    assert charged["sentence"] == "7.00 were charged for the service 'chat'."
    assert [(lot["grant"], lot["amount"]) for lot in charged["lots"]] == [
        (gift["id"], "-5.00"),
        (paid["id"], "-2.00"),
    ]


async def test_what_is_owed_and_why(api: Api) -> None:
    grant = await api.grant("ann", "10", source="paid")
    await api.post("/charges", {"user": "ann", "amount": "8"})
    revoked = await api.post(f"/grants/{grant['id']}/revoke", {"policy": "debt"})
    told = await explained(api)
    assert [(debt["why"], debt["cause"], debt["open"]) for debt in told["debts"]] == [
        ("grant_revoked", revoked["id"], "8.00")
    ]
    await api.grant("ann", "3")
    told = await explained(api)
    assert [(debt["amount"], debt["open"]) for debt in told["debts"]] == [("8.00", "5.00")]
    await api.grant("ann", "9")
    told = await explained(api)
    assert told["debts"] == []
    (lot,) = told["lots"]
    assert uses(told, lot["id"]) == {"owed_repaid": "5.00"}


async def test_a_capture_beyond_everything_is_owed_until_it_is_refunded(api: Api) -> None:
    await api.as_("admin").put(
        "/config", {"assets": {"coins": {"scale": 2}}, "policies": {"capture_tolerance_percent": 100}}
    )
    await api.grant("ann", "4")
    hold = await api.post("/holds", {"user": "ann", "amount": "4"})
    captured = await api.post(f"/holds/{hold['id']}/capture", {"amount": "7"})
    told = await explained(api)
    assert [(debt["why"], debt["cause"], debt["open"]) for debt in told["debts"]] == [
        ("capture_shortfall", captured["charge"], "3.00")
    ]
    charge = await api.get(f"/charges/{captured['charge']}/explain")
    assert [(part["why"], part["amount"]) for part in charge["parts"]] == [
        ("pinned_by_hold", "4.00"),
        ("owed", "3.00"),
    ]
    await api.post(f"/charges/{captured['charge']}/refund", {"amount": "2"})
    assert (await explained(api))["debts"][0]["open"] == "1.00"


async def test_transfers_adjustments_and_overdrafts_add_up(api: Api) -> None:
    admin = api.as_("admin")
    await api.grant("ann", "10")
    sent = await api.post("/transfers", {"from_user": "ann", "to_user": "ben", "amount": "4"})
    await admin.post("/adjustments", {"user": "ann", "amount": "-1", "reason": "fix"})
    added = await admin.post("/adjustments", {"user": "ann", "amount": "2", "reason": "fix"})
    await admin.put("/accounts/ben", {"overdraft": "5"})
    await api.post("/charges", {"user": "ben", "amount": "7"})
    await api.grant("ben", "2")
    ann, ben = await explained(api), await explained(api, "ben")
    assert {lot["made"]["why"] for lot in ann["lots"]} == {"granted", "adjusted"}
    assert ann["data"][0]["object"] == added["id"]
    (moved,) = [event for event in ben["data"] if event["object"] == sent["id"]]
    assert moved["sentence"] == "4.00 came from ann."
    assert {part["why"]: part["amount"] for part in ben["available_is"]} == {"overdraft_left": "4.00"}
    assert {part["why"]: part["amount"] for part in ben["settled_is"]} == {"overdraft_used": "-1.00"}


async def test_what_is_due_is_told_before_it_is_booked(api: Api) -> None:
    lab = api.as_("admin", app="lab")
    await lab.put("/config", {"assets": {"coins": {"scale": 0}}, "test_mode": {"clock_start": "2030-01-01T00:00:00Z"}})
    await lab.grant("ann", "10", expires_at="2030-01-02T00:00:00Z")
    await lab.grant("ann", "5", effective_at="2030-01-03T00:00:00Z")
    assert (await explained(lab))["available"] == "10"
    await lab.put("/test-clock", {"now": "2030-01-02T12:00:00Z"})
    told = await explained(lab)
    assert told["available"] == "0"
    booked = [event["why"] for event in told["data"]]
    assert "expired" in booked or [each["why"] for each in told["due"]] == ["expired"]
    await lab.put("/test-clock", {"now": "2030-01-04T00:00:00Z"})
    past = await explained(lab, at="2030-01-01T12:00:00Z")
    assert (past["available"], past["due"]) == ("10", [])
    past = await explained(lab, at="2030-01-03T12:00:00Z")
    assert past["available"] == "5"


async def test_the_past_is_explained_as_it_was(api: Api) -> None:
    said = [await api.grant("ann", "10"), await api.post("/charges", {"user": "ann", "amount": "4"})]
    said.append(await api.post("/holds", {"user": "ann", "amount": "3"}))
    said.append(await api.post(f"/holds/{said[-1]['id']}/capture", {}))
    for answer in said:
        told = await explained(api, position=answer["position"])
        for name in ("settled", "held", "owed", "available", "position"):
            assert told[name] == answer[name], name
        assert told["data"][0]["position"] == answer["position"]
    await api.get("/accounts/ann/explain", status=400, at="2099-01-01T00:00:00Z")
    await api.get("/accounts/ann/explain", status=404, at="2020-01-01T00:00:00Z")


async def test_events_in_pages(api: Api) -> None:
    await api.grant("ann", "10")
    for _ in range(5):
        await api.post("/charges", {"user": "ann", "amount": "1"})
    versions: list[int] = []
    cursor: dict[str, str] = {}
    while True:
        told = await explained(api, limit=3, **cursor)
        versions += [event["account_version"] for event in told["data"]]
        if not told["has_more"]:
            break
        cursor = {"cursor": told["next_cursor"]}
    assert versions == [7, 6, 5, 4, 3, 2, 1]


async def test_what_lies_too_far_back_is_one_entry(api: Api) -> None:
    """Sums still add up; what made a lot is found by its id."""
    old = await api.grant("ann", "10", reference="old")
    gone = await api.grant("ann", "5", source="paid")
    for _ in range(3):
        await api.post("/charges", {"user": "ann", "amount": "1"})
    await api.post("/charges", {"user": "ann", "amount": "4"})
    await api.post(f"/grants/{gone['id']}/revoke", {"policy": "absorb"})
    hold = await api.post("/holds", {"user": "ann", "amount": "1"})
    other = await api.post("/transfers", {"from_user": "ann", "to_user": "ben", "amount": "1"})
    await api.post("/charges", {"user": "ben", "amount": "0.5"})
    await api.post("/charges", {"user": "ben", "amount": "0.25"})
    whole = await explained(api)
    assert whole["told_since"] == 1
    api.app.state.core.settings.__dict__["explain_events_max"] = 1
    told = await explained(api)
    assert told["told_since"] == whole["account_version"]
    assert told["totals"][0]["why"] == "before"
    (lot,) = [each for each in told["lots"] if each["id"] == old["id"]]
    assert (lot["made"]["reference"], lot["made"]["actor"]) == ("old", "service:tests")
    assert lot["uses"][-1]["why"] == "before"
    assert told["holds"][0]["made"] == whole["holds"][0]["made"]
    assert told["holds"][0]["id"] == hold["id"]
    (received,) = (await explained(api, "ben"))["lots"]
    assert received["made"]["why"] == "received"
    assert received["origin"]["id"] == other["id"]


async def test_why_a_charge_took_the_lots_that_it_took(api: Api) -> None:
    lots = {
        "scoped": await api.grant("ann", "1", scope=["video"]),
        "first": await api.grant("ann", "1", priority=1),
        "expiring": await api.grant("ann", "1", expires_at="2099-01-01T00:00:00Z"),
        "older": await api.grant("ann", "1", source="promo"),
        "gift": await api.grant("ann", "1", source="promo"),
        "paid": await api.grant("ann", "1", source="paid"),
    }
    await api.as_("admin").put("/accounts/ann", {"overdraft": "5"})
    charge = await api.post(
        "/charges", {"user": "ann", "amount": "7.5", "service": "video", "member": "kid", "reason": "watch"}
    )
    await api.post(f"/charges/{charge['id']}/refund", {"amount": "2", "reason": "broken"})
    told = await api.get(f"/charges/{charge['id']}/explain")
    assert [(part.get("grant"), part["why"]) for part in told["parts"]] == [
        (lots["scoped"]["id"], "scoped_first"),
        (lots["first"]["id"], "priority"),
        (lots["expiring"]["id"], "expires_first"),
        (lots["older"]["id"], "older"),
        (lots["gift"]["id"], "unpaid_first"),
        (lots["paid"]["id"], "last"),
        (None, "overdraft"),
    ]
    assert add(told["parts"]) == Decimal("7.5")
    assert (told["why"], told["refunded"], told["pricing"]) == ("charged", "2.00", None)
    assert (told["made"]["actor"], told["made"]["member"], told["made"]["reason"]) == ("service:tests", "kid", "watch")
    (refund,) = told["refunds"]
    assert (refund["amount"], refund["overdraft"], refund["made"]["reason"]) == ("2.00", "1.50", "broken")
    assert [(lot["grant"], lot["amount"]) for lot in refund["lots"]] == [(lots["paid"]["id"], "0.50")]
    assert told["position"] == charge["position"]


async def test_explanations_are_for_their_owners(api: Api) -> None:
    await api.grant("ann", "10")
    charge = await api.post("/charges", {"user": "ann", "amount": "1"})
    ann, eve = api.as_("user", "ann"), api.as_("user", "eve")
    assert (await explained(ann))["settled"] == "9.00"
    await eve.get("/accounts/ann/explain", status=403)
    assert (await ann.get(f"/charges/{charge['id']}/explain"))["amount"] == "1.00"
    await eve.get(f"/charges/{charge['id']}/explain", status=404)
    await api.get("/charges/charge_0001ARZ3NDEKTSV4RRFFQ69G5FAV/explain", status=404)
    await api.get("/accounts/nobody/explain", status=404)


async def test_why_a_command_was_refused(api: Api) -> None:
    await api.grant("ann", "10")
    await api.post("/holds", {"user": "ann", "amount": "4"})
    refused = await api.post("/charges", {"user": "ann", "amount": "7"}, key="too-much", status=402)
    await api.grant("ann", "100")
    told = await api.get("/commands/too-much", user="ann")
    assert (told["status"], told["body"]["code"]) == (402, "insufficient_credits")
    assert told["body"]["required"] == refused["required"] == "7.00"
    assert told["accounts"] == [
        {"asset": "coins", "settled": "10.00", "held": "4.00", "owed": "0.00", "available": "6.00"}
    ]
    assert (await api.state("ann", position=told["position"]))["available"] == told["accounts"][0]["available"]
    await api.post("/charges", {"user": "new", "amount": "1"}, key="nothing", status=402)
    assert (await api.get("/commands/nothing", user="new"))["accounts"] == []
    await api.post("/charges", {"user": "ann", "amount": "1"}, key="good")
    assert "accounts" not in await api.get("/commands/good", user="ann")


async def test_a_price_step_by_step(api: Api) -> None:
    models = {"openai/gpt": {"input": "15", "output": "60", "markup_percent": 20, "minimum": "0.02"}}
    await api.as_("admin").put("/config", {"assets": {"coins": {"scale": 2}}, "prices": {"models": models}})
    await api.grant("ann", "20")
    charge = await api.post("/charges", {"user": "ann", "model": "openai/gpt", "usage": {"input": 1001, "output": 500}})
    pricing = (await api.get(f"/charges/{charge['id']}/explain"))["pricing"]
    assert (pricing["version"], pricing["model"]) == (charge["priced"]["version"], "openai/gpt")
    assert [step["why"] for step in pricing["steps"]] == ["line", "line", "mark_up", "rounded_up"]
    assert pricing["steps"][-1]["amount"] == charge["amount"]
    small = await api.post("/charges", {"user": "ann", "model": "openai/gpt", "usage": {"input": 1}})
    steps = (await api.get(f"/charges/{small['id']}/explain"))["pricing"]["steps"]
    assert (steps[-1]["why"], Decimal(steps[-1]["amount"])) == ("minimum", Decimal(small["amount"]))
