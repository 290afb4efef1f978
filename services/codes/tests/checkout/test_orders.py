"""What is told of an order, in every order and twice each, leaves codes in the same state."""

from __future__ import annotations

from decimal import Decimal
from itertools import permutations

import pytest

from libs.events.contracts.ledger.commands import GrantCredits, RevokeGrant
from libs.events.contracts.payments.events import OrderEvent, OrderExpired, OrderFailed, OrderPaid, OrderRefunded
from libs.service.clock import SECOND_US
from services.codes.domain.redemptions import Claim
from services.codes.tests.checkout.payments import order
from services.codes.tests.checkout.shop import NOW_US, Shop, grant_of

pytestmark = pytest.mark.anyio

STORIES: list[tuple[tuple[type[OrderEvent], ...], str]] = [
    ((OrderPaid,), "confirmed"),
    ((OrderFailed,), "released"),
    ((OrderExpired,), "expired"),
    ((OrderExpired, OrderFailed), "released"),
    ((OrderExpired, OrderPaid), "confirmed"),
    ((OrderFailed, OrderPaid), "confirmed"),
    ((OrderPaid, OrderRefunded), "rolled_back"),
    ((OrderExpired, OrderFailed, OrderPaid), "confirmed"),
    ((OrderFailed, OrderPaid, OrderRefunded), "rolled_back"),
    ((OrderExpired, OrderPaid, OrderRefunded), "rolled_back"),
]


@pytest.mark.parametrize(("story", "status"), STORIES, ids=[" ".join(k.__name__ for k in s) for s, _ in STORIES])
@pytest.mark.parametrize("together", [False, True], ids=["one by one", "in one transaction"])
async def test_every_order_of_what_is_told_ends_alike(
    shop: Shop, story: tuple[type[OrderEvent], ...], status: str, together: bool
) -> None:
    await shop.configure()
    campaign = await shop.campaign("spring", budget_minor=10**9, currency="USD")
    code = await shop.code("HALF", percent_off="50", amount="200", campaign_id=campaign.id)
    # Each told twice: of three, those orders in which the second time follows the first one's order.
    told = list(permutations((*story, *story))) if len(story) < 3 else [(*one, *one) for one in permutations(story)]
    ends: set[tuple[str, bool, int | None]] = set()
    for number, events in enumerate(dict.fromkeys(told)):
        user, checkout = f"user{number}", f"order_{number}"
        taken = await shop.reserve("HALF", user, checkout)
        said = [order(kind, checkout, (taken.id,), started_us=NOW_US) for kind in events]
        if together:
            await shop.tell(*said, user=user)
        else:
            for one in said:
                await shop.tell(one, user=user)
                await shop.ledger_answers()
        await shop.ledger_answers()
        await shop.ledger_answers()
        after = await shop.find(taken.id)
        ends.add((after.status, after.grant is not None and after.revoke_id is None, after.discount_minor))
    assert ends == {(status, status == "confirmed", 2000)}
    counted = len(dict.fromkeys(told)) if status == "confirmed" else 0
    now = await shop.now(code)
    assert (now.reserved, now.redeemed) == (0, counted)
    spent = await shop.campaign_now(campaign)
    assert (spent.reserved_minor, spent.spent_minor, spent.spent) == (0, 2000 * counted, Decimal(200 * counted))
    assert await shop.commands() == []
    assert await shop.differences() == []


async def test_a_payment_that_began_in_time_confirms_what_has_expired_meanwhile(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("LAST", percent_off="10", max_uses=1)
    first = await shop.reserve("LAST", "ann", "order_1")
    shop.clock.advance(901)
    await shop.end(Claim(first.id, "expired", due_at=first.expires_at))
    second = await shop.reserve("LAST", "bob", "order_2")
    await shop.tell(order(OrderPaid, "order_1", (first.id,), started_us=NOW_US + 899 * SECOND_US), user="ann")
    late = await shop.find(first.id)
    assert (late.status, late.late) == ("confirmed", True)
    # Bob was promised the last use too: both keep what they were promised, and nobody else gets one.
    await shop.tell(order(OrderPaid, "order_2", (second.id,), started_us=shop.clock.now_us()), user="bob")
    assert (await shop.now(code)).redeemed == 2
    assert await shop.refusal("LAST", "eve", "order_3") == "code_used_up"
    assert await shop.differences() == []


async def test_a_payment_that_began_too_late_confirms_nothing(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("TEN", percent_off="10")
    taken = await shop.reserve("TEN", "ann", "order_1")
    await shop.tell(order(OrderPaid, "order_1", (taken.id,), started_us=NOW_US + 900 * SECOND_US), user="ann")
    assert (await shop.find(taken.id)).status == "expired"
    assert (await shop.now(code)).redeemed == 0


async def test_parts_that_are_refunded_leave_the_code_used(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("TEN", percent_off="10")
    taken = await shop.reserve("TEN", "ann", "order_1")
    await shop.tell(order(OrderPaid, "order_1", (taken.id,), started_us=NOW_US), user="ann")
    await shop.tell(order(OrderRefunded, "order_1", (taken.id,), started_us=NOW_US, whole=False), user="ann")
    assert (await shop.find(taken.id)).status == "confirmed"
    await shop.tell(order(OrderRefunded, "order_1", (taken.id,), started_us=NOW_US), user="ann")
    assert (await shop.find(taken.id)).status == "rolled_back"
    assert (await shop.now(code)).redeemed == 0


async def test_only_redemptions_of_the_checkout_are_ended(shop: Shop) -> None:
    await shop.configure()
    await shop.code("TEN", percent_off="10")
    await shop.code("GIVE", kind="recharge", amount="5")
    mine = await shop.reserve("TEN", "ann", "order_1")
    recharge = await shop.reserve("GIVE", "ann")
    await shop.tell(order(OrderFailed, "order_2", (mine.id, recharge.id)), user="ann")
    assert (await shop.find(mine.id)).status == "reserved"
    assert (await shop.find(recharge.id)).status == "reserved"


async def test_credits_come_with_the_payment_and_go_with_the_refund(shop: Shop) -> None:
    await shop.configure(refund_policy="debt")
    await shop.code("BOTH", percent_off="20", amount="200")
    taken = await shop.reserve("BOTH", "ann", "order_1")
    assert await shop.commands() == []
    await shop.tell(order(OrderPaid, "order_1", (taken.id,), started_us=NOW_US), user="ann")
    ((_, grant),) = await shop.commands()
    assert isinstance(grant, GrantCredits)
    assert (grant.user, grant.amount, grant.unique_ref) == ("ann", "200", taken.id)
    # The refund comes before the ledger has told of the grant: the credits are asked back once it has.
    await shop.tell(order(OrderRefunded, "order_1", (taken.id,), started_us=NOW_US), user="ann")
    assert len(await shop.commands()) == 1
    await shop.ledger_answers()
    ((_, revoke),) = await shop.commands()
    assert isinstance(revoke, RevokeGrant)
    assert (revoke.grant, revoke.policy) == (grant_of(taken.id), "debt")
    await shop.ledger_answers()
    assert await shop.commands() == []


async def test_a_checkout_stays_confirmed_when_the_ledger_refuses_its_credits(shop: Shop) -> None:
    await shop.configure()
    code = await shop.code("BOTH", percent_off="20", amount="200")
    taken = await shop.reserve("BOTH", "ann", "order_1")
    await shop.tell(order(OrderPaid, "order_1", (taken.id,), started_us=NOW_US), user="ann")
    await shop.ledger_answers(refusing=["ledger.grant_credits.v1"])
    after = await shop.find(taken.id)
    assert (after.status, after.grant) == ("confirmed", None)
    assert after.granted is not None
    assert after.granted["refusal"] == "account_closed"
    assert (await shop.now(code)).redeemed == 1
