"""Discounts, entitlements, gifts and campaigns: what is taken, what is refused, and what is given back."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest

from libs.events.contracts.payments.events import OrderFailed, OrderPaid, OrderRefunded
from libs.service.clock import SECOND_US
from libs.service.problems import Problem
from services.codes.domain.redemptions import Claim
from services.codes.handlers.reserving import Order, reserve
from services.codes.handlers.stacking import CheckoutChanged
from services.codes.tests.checkout.payments import order
from services.codes.tests.checkout.shop import APP, CAUSE, NOW_US, Shop

pytestmark = pytest.mark.anyio


async def test_reserving_again_gets_the_same_row(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("TEN", percent_off="10", max_uses=1)
    first = await shop.reserve("TEN", "ann", "order_1")
    assert (first.status, first.discount_minor, first.expires_at) == ("reserved", 400, NOW_US + 900 * SECOND_US)
    again = await shop.reserve("TEN", "ann", "order_1")
    assert (again.id, again.expires_at) == (first.id, first.expires_at)
    assert (await shop.now(code)).reserved == 1
    assert await shop.refusal("TEN", "bob", "order_2") == "code_used_up"


async def test_what_has_ended_is_taken_again_under_the_limits_of_then(shop: Shop) -> None:
    await shop.configure()
    await shop.code("TEN", percent_off="10", max_uses=1)
    first = await shop.reserve("TEN", "ann", "order_1")
    shop.clock.advance(1000)
    await shop.end(Claim(first.id, "expired", due_at=first.expires_at))
    again = await shop.reserve("TEN", "ann", "order_1", amount_minor=6000)
    assert (again.id, again.status, again.discount_minor) == (first.id, "reserved", 600)
    # The end of the first time comes late, and is not that of the second.
    await shop.end(Claim(first.id, "expired", due_at=first.expires_at))
    assert (await shop.find(first.id)).status == "reserved"
    await shop.end(Claim(first.id, "released"))
    await shop.reserve("TEN", "bob", "order_2")
    assert await shop.refusal("TEN", "ann", "order_1") == "code_used_up"


async def test_a_manual_transfer_has_two_days(shop: Shop) -> None:
    await shop.configure()
    await shop.code("TEN", percent_off="10")
    taken = await shop.reserve("TEN", "ann", "order_1", method="manual")
    assert taken.expires_at == NOW_US + 48 * 3600 * SECOND_US


async def test_a_price_that_codes_stand_on_does_not_change(shop: Shop) -> None:
    await shop.configure()
    await shop.code("TEN", percent_off="10")
    first = await shop.reserve("TEN", "ann", "order_1")
    with pytest.raises(CheckoutChanged):
        await shop.reserve("TEN", "ann", "order_1", amount_minor=5000)
    with pytest.raises(CheckoutChanged):
        await shop.reserve("TEN", "bob", "order_1")
    await shop.end(Claim(first.id, "released"))
    assert (await shop.reserve("TEN", "ann", "order_1", amount_minor=5000)).discount_minor == 500


async def test_why_a_discount_is_refused(shop: Shop) -> None:
    await shop.configure()
    await shop.code("FIVE", amount_off_minor=500, currency="USD", min_minor=1000, service="research")
    assert await shop.refusal("FIVE", "ann", "order_1", amount_minor=999, service="research") == "below_minimum"
    assert await shop.refusal("FIVE", "ann", "order_2", currency="EUR", service="research") == "wrong_currency"
    assert await shop.refusal("FIVE", "ann", "order_3", service="chat") == "wrong_service"
    assert await shop.refusal("FIVE", "ann", "order_4", service="research") is None


@pytest.mark.parametrize("stacking", ["none", "one_percent_one_fixed"])
async def test_codes_go_together_as_the_app_says(shop: Shop, stacking: str) -> None:
    await shop.configure(stacking=stacking)
    await shop.code("HALF", percent_off="50")
    await shop.code("TEN", percent_off="10")
    await shop.code("BIG", amount_off_minor=3000, currency="USD")
    first = await shop.reserve("BIG", "ann", "order_1")
    assert first.discount_minor == 3000
    if stacking == "none":
        assert await shop.refusal("HALF", "ann", "order_1") == "codes_do_not_stack"
        await shop.end(Claim(first.id, "released"))
        assert (await shop.reserve("HALF", "ann", "order_1")).discount_minor == 2000
    else:
        # Half of 40.00 is 20.00; what the other leaves is 10.00.
        assert (await shop.reserve("HALF", "ann", "order_1")).discount_minor == 1000
        assert await shop.refusal("TEN", "ann", "order_1") == "codes_do_not_stack"


async def test_two_codes_at_once_on_one_checkout_are_one_after_the_other(shop: Shop) -> None:
    await shop.configure()
    for number in range(6):
        await shop.code(f"CODE{number}", percent_off="10")
    refusals = await asyncio.gather(*[shop.refusal(f"CODE{number}", "ann", "order_1") for number in range(6)])
    assert sorted(map(str, refusals)) == ["None"] + ["codes_do_not_stack"] * 5


async def test_a_code_with_both_leaves_an_entitlement(shop: Shop) -> None:
    await shop.configure(entitlement_days=10)
    code = await shop.code("BOTH", percent_off="20", amount="200", max_uses=1)
    taken = await shop.reserve("BOTH", "ann")
    assert await shop.entitlements("ann") == []
    await shop.ledger_answers()
    redeemed = await shop.find(taken.id)
    ((entitlement, status),) = await shop.entitlements("ann")
    assert (redeemed.status, redeemed.entitlement_id, status) == ("confirmed", entitlement, "available")
    # A later checkout takes it without another use, and without the credits.
    bought = await shop.reserve("BOTH", "ann", "order_1")
    assert (bought.entitlement_id, bought.discount_minor, bought.amount) == (entitlement, 800, None)
    assert await shop.entitlements("ann") == [(entitlement, "reserved")]
    assert (await shop.now(code)).reserved + (await shop.now(code)).redeemed == 1
    assert await shop.refusal("BOTH", "ann", "order_2") == "code_used_up"
    assert await shop.refusal("", "ann", "order_2", entitlement=entitlement) == "code_already_redeemed"
    await shop.tell(order(OrderFailed, "order_1", (bought.id,)), user="ann")
    assert await shop.entitlements("ann") == [(entitlement, "available")]
    again = await shop.reserve("", "ann", "order_2", entitlement=entitlement)
    await shop.tell(order(OrderPaid, "order_2", (again.id,), started_us=NOW_US), user="ann")
    assert await shop.entitlements("ann") == [(entitlement, "used")]
    await shop.tell(order(OrderRefunded, "order_2", (again.id,), started_us=NOW_US), user="ann")
    assert await shop.entitlements("ann") == [(entitlement, "available")]
    assert await shop.commands() == []
    shop.clock.advance(10 * 86_400)
    assert await shop.refusal("", "ann", "order_3", entitlement=entitlement) == "code_expired"
    assert await shop.differences() == []


async def test_entitlements_are_their_users_own_and_end_with_a_void_code(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("LATER", percent_off="20")
    taken = await shop.reserve("LATER", "ann")
    assert (taken.status, taken.entitlement_id is None) == ("confirmed", False)
    with pytest.raises(Problem, match="entitlement"):
        await shop.reserve("", "bob", "order_1", entitlement=taken.entitlement_id)
    await shop.core.pool.execute("UPDATE codes SET status = 'void' WHERE id = $1", code.id)
    assert await shop.refusal("LATER", "ann", "order_2") == "code_inactive"


async def test_many_checkouts_at_once_take_an_entitlement_once(shop: Shop) -> None:
    await shop.configure()
    await shop.code("LATER", percent_off="20", max_uses=1)
    await shop.reserve("LATER", "ann")
    refusals = await asyncio.gather(*[shop.refusal("LATER", "ann", f"order_{number}") for number in range(10)])
    assert sorted(map(str, refusals)) == ["None"] + ["code_used_up"] * 9
    assert await shop.differences() == []


async def test_a_gift_is_redeemed_in_parts_and_never_beyond_its_balance(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("GIFT", kind="gift", amount="100.00")
    first = await shop.reserve("GIFT", "ann", amount=Decimal("30.00"))
    assert (first.amount, first.balance) == (Decimal(30), Decimal(70))
    assert await shop.refusal("GIFT", "ann", amount=Decimal("70.01")) == "above_balance"
    await shop.ledger_answers(refusing=["ledger.grant_credits.v1"])
    assert (await shop.now(code)).balance == Decimal(100)
    refusals = await asyncio.gather(
        *[shop.refusal("GIFT", f"user{number % 3}", amount=Decimal("15.00")) for number in range(20)]
    )
    assert sorted(map(str, refusals)) == ["None"] * 6 + ["above_balance"] * 14
    rest = await shop.reserve("GIFT", "eve")
    assert (rest.amount, rest.balance) == (Decimal(10), Decimal(0))
    assert await shop.refusal("GIFT", "eve") == "code_used_up"
    await shop.ledger_answers()
    assert (await shop.now(code)).redeemed == 7
    assert await shop.differences() == []


async def test_only_a_gift_has_parts_and_it_is_for_no_checkout(shop: Shop) -> None:
    await shop.configure()
    await shop.code("GIFT", kind="gift", amount="100")
    await shop.code("GIVE", kind="recharge", amount="100")
    with pytest.raises(Problem, match="by itself"):
        await shop.reserve("GIFT", "ann", "order_1")
    with pytest.raises(Problem, match="Only a gift"):
        await shop.reserve("GIVE", "ann", amount=Decimal(5))


async def test_many_at_once_take_a_limit_exactly(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("GIVE", kind="recharge", amount="10", max_uses=13)
    refusals = await asyncio.gather(*[shop.refusal("GIVE", f"user{number}") for number in range(40)])
    assert (refusals.count(None), refusals.count("code_used_up")) == (13, 27)
    assert (await shop.now(code)).reserved == 13
    assert await shop.differences() == []


async def test_a_reservation_that_dies_asks_the_ledger_for_nothing(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("GIVE", kind="recharge", amount="10")
    bought = Order(APP, "ann", "GIVE", "test", CAUSE)
    with pytest.raises(InterruptedError):
        async with shop.core.pool.acquire() as connection, connection.transaction():
            await reserve(shop.core, connection, bought)
            raise InterruptedError
    assert (await shop.now(code)).reserved == 0
    assert await shop.commands() == []


async def test_a_budget_of_credits_is_spent_exactly(shop: Shop) -> None:
    await shop.configure()
    campaign = await shop.campaign("spring", budget=Decimal(370))
    await shop.code("GIVE", kind="recharge", amount="10", campaign_id=campaign.id)
    refusals = await asyncio.gather(*[shop.refusal("GIVE", f"user{number}") for number in range(100)])
    assert (refusals.count(None), refusals.count("budget_spent")) == (37, 63)
    await shop.ledger_answers(refusing=["ledger.grant_credits.v1"])
    now = await shop.campaign_now(campaign)
    assert now.reserved == now.spent == 0
    assert await shop.differences() == []


async def test_a_budget_of_money_counts_what_is_reserved_and_takes_back_what_is_released(shop: Shop) -> None:
    await shop.configure()
    campaign = await shop.campaign("spring", budget_minor=1000, currency="USD")
    await shop.code("TEN", percent_off="10", campaign_id=campaign.id)
    taken = [await shop.reserve("TEN", f"user{number}", f"order_{number}") for number in range(2)]
    assert await shop.refusal("TEN", "eve", "order_9") == "budget_spent"
    assert await shop.refusal("TEN", "eve", "order_8", currency="EUR") == "wrong_currency"
    assert await shop.refusal("TEN", "eve", "order_7", amount_minor=2000) is None
    await shop.tell(order(OrderPaid, "order_0", (taken[0].id,), started_us=NOW_US), user="user0")
    await shop.end(Claim(taken[1].id, "released"))
    now = await shop.campaign_now(campaign)
    assert (now.reserved_minor, now.spent_minor) == (200, 400)
    assert await shop.differences() == []
