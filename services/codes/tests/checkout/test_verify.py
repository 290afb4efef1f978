"""Whatever does not add up is named."""

from __future__ import annotations

from decimal import Decimal

import pytest

from libs.events.contracts.payments.events import OrderPaid
from services.codes.tests.checkout.payments import order
from services.codes.tests.checkout.shop import NOW_US, Shop

pytestmark = pytest.mark.anyio

MISTAKES = [
    ("UPDATE codes SET reserved = 7 WHERE text = 'TEN'", "reserved is 7, its redemptions say 1"),
    ("UPDATE codes SET redeemed = 0 WHERE text = 'OLD'", "redeemed is 0, its redemptions say 60"),
    ("UPDATE codes SET balance = 99 WHERE kind = 'gift'", "balance is 99, its redemptions say 70.00"),
    ("UPDATE codes SET max_uses = 1 WHERE text = 'TEN'", "uses is 2, its redemptions say at most 1"),
    ("UPDATE code_users SET redeemed = 5 WHERE user_id = 'ann' AND redeemed = 1", "redeemed is 5"),
    ("DELETE FROM code_users WHERE user_id = 'bob'", "reserved is 0, its redemptions say 1"),
    ("UPDATE campaigns SET spent_minor = 1", "spent_minor is 1, its redemptions say 400"),
    ("UPDATE campaigns SET reserved_minor = 0", "reserved_minor is 0, its redemptions say 400"),
    ("UPDATE entitlements SET status = 'used'", "status is used, its redemptions say available"),
]


@pytest.mark.parametrize(("mistake", "named"), MISTAKES, ids=[named for _, named in MISTAKES])
async def test_every_mistake_is_found(shop: Shop, mistake: str, named: str) -> None:
    await shop.configure(samples={"OLD": {"amount": "10", "max_uses": 100, "used": 60}})
    campaign = await shop.campaign("spring", budget_minor=10_000, currency="USD")
    await shop.code("TEN", percent_off="10", campaign_id=campaign.id)
    await shop.code("GIFT", kind="gift", amount="100.00")
    await shop.code("LATER", percent_off="20")
    paid = await shop.reserve("TEN", "ann", "order_1")
    await shop.tell(order(OrderPaid, "order_1", (paid.id,), started_us=NOW_US), user="ann")
    await shop.reserve("TEN", "bob", "order_2")
    await shop.reserve("GIFT", "ann", amount=Decimal("30.00"))
    await shop.reserve("LATER", "ann")
    assert await shop.differences() == []
    await shop.spoil(mistake)
    found = await shop.differences()
    assert any(named in one for one in found), found
