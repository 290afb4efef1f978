"""F10: graduated unit prices, in the price book: the first are free, more cost less, and a customer may have others."""

from __future__ import annotations

from typing import Any

import pytest
from tallystick import InvalidRequest

from tests.e2e.suite import Suite, amounts

pytestmark = pytest.mark.anyio

APP = "graduated"
TIERS = [
    {"over": 0, "up_to": 5_000, "amount": "0"},
    {"over": 5_000, "up_to": 505_000, "amount": "0.0018"},
    {"over": 505_000, "amount": "0.0009"},
]


def config(tiers: list[dict[str, Any]], partner: list[dict[str, Any]] = TIERS) -> dict[str, Any]:
    """An app that counts in hundredths of a dollar, and sells calls by the piece."""
    lists = {"partner": {"operations": {"call": {"tiers": partner}}}}
    return {
        "assets": {"dollars": {"scale": 2, "default": True}},
        "prices": {"operations": {"call": {"tiers": tiers}}, "lists": lists},
    }


async def test_f10_each_band_of_a_quantity_costs_what_the_band_says(suite: Suite, user: str) -> None:
    async with suite.client(APP, "admin") as admin, suite.client(APP) as client:
        await admin.put_config(config(TIERS))
        await client.grant(user, "2000", source="paid")
        costs = {}
        for quantity in (1, 5_000, 5_001, 105_000, 505_000, 1_505_000):
            costs[quantity] = str((await client.quote(user, price="call", quantity=quantity)).amount)
        assert costs == {
            1: "0.00",
            5_000: "0.00",
            5_001: "0.01",  # 0.0018, rounded up once
            105_000: "180.00",
            505_000: "900.00",
            1_505_000: "1800.00",
        }
        charge = await client.charge(user, price="call", quantity=505_001)
        assert amounts(charge, "amount", "available") == ["900.01", "1099.99"]
        told = (await client.explain_charge(charge.id)).raw["pricing"]
        assert [line["amount"] for line in told["lines"]] == ["0", "900", "0.0009"]


async def test_f10_a_customer_has_prices_of_its_own_from_then_on(suite: Suite, user: str) -> None:
    flat = [{"over": 0, "amount": "0.0005"}]
    async with suite.client(APP, "admin") as admin, suite.client(APP) as client:
        await admin.put_config(config(TIERS, flat))
        await client.grant(user, "100", source="paid")
        before = await client.charge(user, price="call", quantity=10_000)
        quote = await client.quote(user, price="call", quantity=10_000)
        await admin.put_account(user, price_list="partner")
        after = await client.charge(user, price="call", quantity=10_000)
        assert [str(each.amount) for each in (before, after)] == ["9.00", "5.00"]
        promised = await client.charge(user, quote=quote.id)
        assert str(promised.amount) == "9.00", "a quote pins the price that it told"
        await admin.put_account(user, price_list="")
        assert str((await client.charge(user, price="call", quantity=10_000)).amount) == "9.00"


@pytest.mark.parametrize(
    ("tiers", "fault"),
    [
        ([{"over": 0, "up_to": 5_000, "amount": "0"}, {"over": 6_000, "amount": "0.0018"}], "gap"),
        ([{"over": 0, "up_to": 5_000, "amount": "0"}, {"over": 4_000, "amount": "0.0018"}], "overlap"),
        ([{"over": 1, "amount": "0.0018"}], "gap"),
        ([{"over": 0, "up_to": 5_000, "amount": "0"}], "gap"),
    ],
    ids=["gap", "overlap", "no beginning", "no end"],
)
async def test_f10_bands_with_gaps_and_overlaps_are_refused(
    suite: Suite, tiers: list[dict[str, Any]], fault: str
) -> None:
    async with suite.client(APP, "admin") as admin:
        now = (await admin.put_config(config(TIERS))).version
        with pytest.raises(InvalidRequest) as refused:
            await admin.put_config(config(tiers))
        assert any(fault in each["detail"] for each in refused.value.errors)
        assert (await admin.get_config()).version == now
