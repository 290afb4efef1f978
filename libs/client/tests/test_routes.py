"""Every method, and what it puts on the wire."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest
from tallystick import Batch, Budget, Client, CostBasis, Threshold
from tallystick._surface import Every, Route, Surface

T0 = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
T0_TEXT = "2026-01-02T03:04:05.000000Z"
ANSWER: dict[str, Any] = {
    **{
        "id": "x",
        "captured": "0",
        "user": "ada",
        "settled": "1",
        "held": "0",
        "owed": "0",
        "available": "1",
        "position": 1,
        "partition": 2,
    },
    **{
        "amount": "1",
        "stream": "s",
        "head": 0,
        "charge": "charge_1",
        "data": [],
        "config": {},
        "now": T0_TEXT,
        "status": 200,
        "body": {},
    },
}

ROUTES: list[tuple[str, Callable[[Client], object], str, dict[str, Any] | None]] = [
    (
        "grant",
        lambda c: c.grant("ada", 5, source="paid", priority=1, effective_at=T0, cost_basis=CostBasis(999, "USD")),
        "POST /v1/grants",
        {
            "user": "ada",
            "amount": "5",
            "source": "paid",
            "priority": 1,
            "effective_at": T0_TEXT,
            "cost_basis": {"amount_minor": 999, "currency": "USD"},
        },
    ),
    (
        "revoke",
        lambda c: c.revoke("grant_1", "debt", amount="2", hold="hold_1"),
        "POST /v1/grants/grant_1/revoke",
        {"amount": "2", "policy": "debt", "hold": "hold_1"},
    ),
    (
        "charge",
        lambda c: c.charge("ada", "5", service="chat", reference="r", unique_ref="u", reason="why", member="eve"),
        "POST /v1/charges",
        {
            **{"user": "ada", "amount": "5", "service": "chat"},
            **{"reference": "r", "unique_ref": "u", "reason": "why", "member": "eve"},
        },
    ),
    (
        "charge",
        lambda c: c.charge("ada", price="image", quantity=3),
        "POST /v1/charges",
        {"user": "ada", "price": "image", "quantity": "3"},
    ),
    (
        "charge",
        lambda c: c.charge("ada", model="m", usage={"input": 7, "seconds": Decimal("1.5")}),
        "POST /v1/charges",
        {"user": "ada", "model": "m", "usage": {"input": 7, "seconds": "1.5"}},
    ),
    ("explain_charge", lambda c: c.explain_charge("charge_1"), "GET /v1/charges/charge_1/explain", None),
    (
        "batch",
        lambda c: c.batch(
            Batch(atomic=True).charge("ada", 1, idempotency_key="a").capture("hold/1", 2, idempotency_key="b")
        ),
        "POST /v1/batch",
        {
            "atomic": True,
            "commands": [
                {"type": "charge", "key": "a", "user": "ada", "amount": "1"},
                {"type": "hold.capture", "key": "b", "hold": "hold/1", "amount": "2"},
            ],
        },
    ),
    ("prices", lambda c: c.prices(user="ada"), "GET /v1/prices?user=ada", None),
    (
        "quote",
        lambda c: c.quote("ada", price="text", service="chat"),
        "POST /v1/quotes",
        {"user": "ada", "price": "text", "service": "chat"},
    ),
    (
        "assign_plan",
        lambda c: c.assign_plan("ada", "pro", anchor=T0, paid_until=T0),
        "PUT /v1/accounts/ada/plan",
        {"plan": "pro", "anchor": T0_TEXT, "paid_until": T0_TEXT},
    ),
    ("assign_plan", lambda c: c.assign_plan("ada", None), "PUT /v1/accounts/ada/plan", {"plan": None}),
    ("reset", lambda c: c.reset("ada"), "POST /v1/accounts/ada/reset", {}),
    (
        "set_budgets",
        lambda c: c.set_budgets("ada", [Budget(period="day", limit=Decimal(5), member="eve")]),
        "PUT /v1/accounts/ada/budgets",
        {"budgets": [{"member": "eve", "period": "day", "limit": "5", "hard": True}]},
    ),
    ("budgets", lambda c: c.budgets("ada"), "GET /v1/accounts/ada/budgets", None),
    ("get_charge", lambda c: c.get_charge("charge_1"), "GET /v1/charges/charge_1", None),
    ("refund", lambda c: c.refund("charge_1", amount=1), "POST /v1/charges/charge_1/refund", {"amount": "1"}),
    (
        "transfer",
        lambda c: c.transfer("ada", "bob", 1, asset="gold"),
        "POST /v1/transfers",
        {"from_user": "ada", "to_user": "bob", "amount": "1", "asset": "gold"},
    ),
    ("get_transfer", lambda c: c.get_transfer("transfer_1"), "GET /v1/transfers/transfer_1", None),
    (
        "adjust",
        lambda c: c.adjust("ada", "-1", "typo", description="was 1 too many"),
        "POST /v1/adjustments",
        {"user": "ada", "amount": "-1", "reason": "typo", "description": "was 1 too many"},
    ),
    ("act", lambda c: c.act("ada", "start"), "POST /v1/actions", {"user": "ada", "action": "start"}),
    (
        "create_hold",
        lambda c: c.create_hold("ada", 5, ttl_s=60, grant="grant_1", partial=True),
        "POST /v1/holds",
        {"user": "ada", "amount": "5", "ttl_s": 60, "grant": "grant_1", "partial": True},
    ),
    (
        "create_hold",
        lambda c: c.create_hold("ada", quote="quote_1"),
        "POST /v1/holds",
        {"user": "ada", "quote": "quote_1"},
    ),
    (
        "capture",
        lambda c: c.capture("hold_1", usage={"output": 9}),
        "POST /v1/holds/hold_1/capture",
        {"usage": {"output": 9}},
    ),
    (
        "extend",
        lambda c: c.extend("hold_1", usage={"output": 90}, partial=True),
        "POST /v1/holds/hold_1/extend",
        {"usage": {"output": 90}, "partial": True},
    ),
    ("get_hold", lambda c: c.get_hold("hold_1"), "GET /v1/holds/hold_1", None),
    (
        "capture",
        lambda c: c.capture("hold_1", 1, final=False),
        "POST /v1/holds/hold_1/capture",
        {"amount": "1", "final": False},
    ),
    ("capture", lambda c: c.capture("hold_1"), "POST /v1/holds/hold_1/capture", {}),
    ("extend", lambda c: c.extend("hold_1", 60), "POST /v1/holds/hold_1/extend", {"ttl_s": 60}),
    ("release", lambda c: c.release("hold_1"), "POST /v1/holds/hold_1/release", {}),
    ("get_account", lambda c: c.get_account("ada", asset="gold"), "GET /v1/accounts/ada?asset=gold", None),
    (
        "put_account",
        lambda c: c.put_account("ada", zone="Asia/Baku", overdraft=0, price_list="gold"),
        "PUT /v1/accounts/ada",
        {"zone": "Asia/Baku", "overdraft": "0", "price_list": "gold"},
    ),
    (
        "state",
        lambda c: c.state("ada", at=T0, position=5, min_position=4, service="chat"),
        "GET /v1/accounts/ada/state?at=2026-01-02T03%3A04%3A05.000000Z&position=5&min_position=4&service=chat",
        None,
    ),
    ("lots", lambda c: c.lots("ada", limit=5), "GET /v1/accounts/ada/lots?limit=5", None),
    ("every_lot", lambda c: list(c.every_lot("ada")), "GET /v1/accounts/ada/lots", None),
    ("holds", lambda c: c.holds("ada", cursor="c"), "GET /v1/accounts/ada/holds?cursor=c", None),
    ("every_hold", lambda c: list(c.every_hold("ada")), "GET /v1/accounts/ada/holds", None),
    (
        "transactions",
        lambda c: c.transactions("ada", type="charge", reference="r", member="eve"),
        "GET /v1/accounts/ada/transactions?type=charge&reference=r&member=eve",
        None,
    ),
    (
        "every_transaction",
        lambda c: list(c.every_transaction("ada", type="charge")),
        "GET /v1/accounts/ada/transactions?type=charge",
        None,
    ),
    ("freeze", lambda c: c.freeze("ada", unique_ref="fraud"), "POST /v1/accounts/ada/freeze", {"unique_ref": "fraud"}),
    ("unfreeze", lambda c: c.unfreeze("ada"), "POST /v1/accounts/ada/unfreeze", {}),
    ("close_account", lambda c: c.close_account("ada"), "POST /v1/accounts/ada/close", {}),
    (
        "put_thresholds",
        lambda c: c.put_thresholds(
            "ada", [Threshold(below=Decimal(10), rearm_at=Decimal(20)), Threshold(below=Decimal(5))]
        ),
        "PUT /v1/accounts/ada/thresholds",
        {"thresholds": [{"below": "10", "rearm_at": "20"}, {"below": "5"}]},
    ),
    ("explain", lambda c: c.explain("ada"), "GET /v1/accounts/ada/explain", None),
    ("erase", lambda c: c.erase("ada"), "POST /v1/accounts/ada/erase", {}),
    (
        "get_command",
        lambda c: c.get_command("order/7", "ada", caller="bot"),
        "GET /v1/commands/order%2F7?user=ada&caller=bot",
        None,
    ),
    ("statistics", lambda c: c.statistics(), "GET /v1/statistics", None),
    (
        "feed",
        lambda c: c.feed("ledger.events", 3, after=7),
        "GET /v1/feed?topic=ledger.events&partition=3&after=7",
        None,
    ),
    ("events", lambda c: c.events(user="ada", limit=2), "GET /v1/events?user=ada&limit=2", None),
    ("every_event", lambda c: list(c.every_event(type="x")), "GET /v1/events?type=x", None),
    ("get_config", lambda c: c.get_config(), "GET /v1/config", None),
    ("put_config", lambda c: c.put_config({"zone": "UTC"}), "PUT /v1/config", {"zone": "UTC"}),
    ("plan_config", lambda c: c.plan_config({"zone": "UTC"}), "PUT /v1/config?dry_run=true", {"zone": "UTC"}),
    ("get_test_clock", lambda c: c.get_test_clock(), "GET /v1/test-clock", None),
    ("put_test_clock", lambda c: c.put_test_clock(T0), "PUT /v1/test-clock", {"now": T0_TEXT}),
]


@pytest.mark.parametrize(("call", "line", "body"), [route[1:] for route in ROUTES], ids=[route[0] for route in ROUTES])
def test_a_method_sends_what_the_contract_says(
    call: Callable[[Client], object], line: str, body: dict[str, Any] | None
) -> None:
    seen: list[httpx.Request] = []

    def peer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json=ANSWER)

    with Client(transport=httpx.MockTransport(peer)) as client:
        call(client)
    (sent,) = seen
    assert f"{sent.method} {sent.url.raw_path.decode()}" == line
    assert (json.loads(sent.content) if sent.content else None) == body
    assert ("Idempotency-Key" in sent.headers) == (sent.method != "GET")


def test_every_method_is_in_the_table_above() -> None:
    methods = {name for name, method in vars(Surface).items() if isinstance(method, Route | Every)}
    assert methods == {route[0] for route in ROUTES}


@pytest.mark.parametrize(
    "way",
    [
        {},
        {"amount": 1, "price": "text"},
        {"model": "m"},
        {"usage": {"input": 1}, "price": "text"},
        {"quantity": 2, "amount": 1},
        {"model": "m", "usage": {"input": 1.5}},
    ],
)
def test_a_cost_is_said_in_one_way(way: dict[str, Any]) -> None:
    with Client(transport=httpx.MockTransport(lambda request: httpx.Response(500))) as client, pytest.raises(TypeError):
        client.charge("ada", **way)
