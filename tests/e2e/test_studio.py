"""F1 and F2: credits and transactions of Forsion AI Studio, to two decimals."""

from __future__ import annotations

from decimal import Decimal

import pytest
from tallystick import AsyncClient, FeatureDisabled, InsufficientCredits

from tests.e2e.conftest import new_user
from tests.e2e.suite import Suite, amounts

pytestmark = pytest.mark.anyio


async def test_f1_an_account_opens_when_the_user_is_created(suite: Suite, studio_admin: AsyncClient, user: str) -> None:
    opened = await studio_admin.put_account(user)
    assert opened.status == "open"
    assert opened.available == 0
    async with suite.http("studio", "user", sub=user) as own:
        state = await own.state(user)
    figures = {name: state[name] for name in ("available", "total_granted", "total_spent")}
    assert figures == {"available": "0.00", "total_granted": "0.00", "total_spent": "0.00"}


async def test_f1_totals_of_what_was_earned_and_spent(studio: AsyncClient, user: str) -> None:
    await studio.grant(user, "1000", source="paid")
    await studio.grant(user, "50.25", source="promo")
    charge = await studio.charge(user, "12.34")
    await studio.charge(user, "0.01")
    await studio.refund(charge.id, amount="2.34")
    state = await studio.state(user)
    assert amounts(state, "total_granted", "total_spent", "available") == ["1050.25", "10.01", "1040.24"]


async def test_f2_transactions_have_balances_before_and_after_to_two_decimals(
    suite: Suite, studio: AsyncClient, studio_admin: AsyncClient, user: str
) -> None:
    await studio.grant(user, "1000", source="paid", reason="purchase", reference="order_1")
    usage = await studio.charge(
        user, "12.5", reason="usage", description="API usage: sonnet-4", reference="usage_77", service="chat"
    )
    await studio.refund(usage.id, amount="2.5", reason="refund")
    await studio.grant(user, "5", source="promo", reason="bonus")
    await studio_admin.adjust(user, "-0.05", "adjustment", description="rounding")
    async with suite.http("studio", "user", sub=user) as own:
        listed = (await own.read(f"accounts/{user}/transactions")).json()["data"]
    rows = [row for row in reversed(listed) if row["amount"] != "0.00"]
    assert [(row["reason"], row["amount"], row["before"], row["after"]) for row in rows] == [
        ("purchase", "1000.00", "0.00", "1000.00"),
        ("usage", "-12.50", "1000.00", "987.50"),
        ("refund", "2.50", "987.50", "990.00"),
        ("bonus", "5.00", "990.00", "995.00"),
        ("adjustment", "-0.05", "995.00", "994.95"),
    ]
    assert [row["type"] for row in rows] == [
        "credits_granted",
        "credits_charged",
        "charge_refunded",
        "credits_granted",
        "balance_adjusted",
    ]
    assert rows[1]["description"] == "API usage: sonnet-4"
    assert rows[1]["reference"] == "usage_77"
    found = await studio.transactions(user, reference="usage_77")
    assert [each.amount for each in found] == [Decimal("-12.50")]


async def test_f2_no_amount_is_finer_than_two_decimals(suite: Suite, user: str) -> None:
    async with suite.http("studio") as http:
        refused = await http.write("grants", {"user": user, "amount": "1.005"})
        assert refused.status_code == 400
        assert refused.json()["errors"] == [
            {"code": "amount_too_precise", "field": "amount", "detail": refused.json()["errors"][0]["detail"]}
        ]
        assert (await http.read(f"accounts/{user}/state")).status_code == 404


async def test_f7_an_estimate_is_held_before_the_call_and_the_actual_cost_captured_after_it(
    studio: AsyncClient, user: str
) -> None:
    await studio.grant(user, "10")
    async with studio.hold(user, "5", reference="call_1") as hold:
        during = await studio.state(user)
        assert amounts(during, "settled", "held", "available") == ["10.00", "5.00", "5.00"]
        with pytest.raises(InsufficientCredits):
            await studio.create_hold(user, "5.01")
        captured = await hold.capture("3.2", description="API usage: sonnet-4")
    assert amounts(captured, "captured", "available") == ["3.20", "6.80"]
    after = await studio.state(user)
    assert amounts(after, "settled", "held", "available") == ["6.80", "0.00", "6.80"]
    refund = await studio.refund(captured.charge)
    assert refund.available == 10


async def test_f7_a_call_that_fails_costs_nothing(studio: AsyncClient, user: str) -> None:
    await studio.grant(user, "10")
    with pytest.raises(RuntimeError, match="the model is away"):
        async with studio.hold(user, "10"):
            raise RuntimeError("the model is away")
    after = await studio.state(user)
    assert amounts(after, "settled", "held", "available") == ["10.00", "0.00", "10.00"]


async def test_f7_a_call_may_cost_half_as_much_again_as_its_estimate(studio: AsyncClient, user: str) -> None:
    await studio.grant(user, "5")
    hold = await studio.create_hold(user, "4")
    captured = await studio.capture(hold.id, "6")
    assert amounts(captured, "amount", "shortfall") == ["6.00", "1.00"]
    assert amounts(captured, "settled", "owed") == ["0.00", "1.00"]
    topped_up = await studio.grant(user, "3")
    assert amounts(topped_up, "owed", "available") == ["0.00", "2.00"], "the next credits repay what is owed first"


async def test_f10_a_refund_of_spent_credits_stops_at_zero(studio: AsyncClient, user: str) -> None:
    grant = await studio.grant(user, "1000", source="paid", unique_ref="order_9")
    await studio.charge(user, "700")
    revoked = await studio.revoke(grant.id)
    assert amounts(revoked, "taken", "absorbed", "debt") == ["300.00", "700.00", "0.00"]
    assert amounts(revoked, "available", "owed") == ["0.00", "0.00"]


async def test_studio_credits_do_not_move_between_accounts(studio: AsyncClient, user: str) -> None:
    await studio.grant(user, "10")
    with pytest.raises(FeatureDisabled):
        await studio.transfer(user, new_user(), "1")
    assert (await studio.state(user)).available == 10
