"""What a code takes off: exact, rounded once, never too much."""

from __future__ import annotations

from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.codes.domain.discounts import (
    Checkout,
    Discount,
    Effect,
    Stacking,
    discount_of,
    effect_of,
    stacks,
    unfit,
)

amounts = st.integers(0, 10**15)
percents = st.decimals(Decimal("0.01"), 100, places=2)
maxima = st.none() | st.integers(0, 10**12)
discounts = st.one_of(
    st.builds(Discount, percent_off=percents, max_off_minor=maxima),
    st.builds(Discount, amount_off_minor=st.integers(1, 10**12), currency=st.just("USD"), max_off_minor=maxima),
)


def checkout(amount_minor: int, *, taken_minor: int = 0, currency: str = "USD", service: str | None = None) -> Checkout:
    return Checkout("order_1", amount_minor, currency, service, taken_minor=taken_minor)


@pytest.mark.parametrize(
    ("discount", "amount_minor", "off"),
    [
        (Discount(percent_off=Decimal(20)), 4999, 1000),
        (Discount(percent_off=Decimal(20)), 4997, 999),
        (Discount(percent_off=Decimal(50)), 1, 1),
        (Discount(percent_off=Decimal(50)), 3, 2),
        (Discount(percent_off=Decimal("12.5")), 100, 13),
        (Discount(percent_off=Decimal("12.49")), 100, 12),
        (Discount(percent_off=Decimal("0.01")), 4999, 0),
        (Discount(percent_off=Decimal("0.01")), 5000, 1),
        (Discount(percent_off=Decimal(100)), 4999, 4999),
        (Discount(percent_off=Decimal(20), max_off_minor=500), 4999, 500),
        (Discount(percent_off=Decimal(20), max_off_minor=1001), 4999, 1000),
        (Discount(amount_off_minor=500, currency="USD"), 4999, 500),
        (Discount(amount_off_minor=5000, currency="USD"), 4999, 4999),
        (Discount(amount_off_minor=500, currency="USD", max_off_minor=300), 4999, 300),
        (Discount(amount_off_minor=500, currency="USD"), 0, 0),
    ],
)
def test_what_is_taken_off(discount: Discount, amount_minor: int, off: int) -> None:
    assert discount_of(discount, checkout(amount_minor)) == off


@given(discounts, amounts, st.data())
def test_never_more_than_there_is_nor_than_the_maximum(discount: Discount, amount: int, data: st.DataObject) -> None:
    taken = data.draw(st.integers(0, amount))
    off = discount_of(discount, checkout(amount, taken_minor=taken))
    assert 0 <= off <= amount - taken
    assert discount.max_off_minor is None or off <= discount.max_off_minor


@given(percents, amounts)
def test_a_per_cent_is_rounded_once_half_away_from_zero(percent: Decimal, amount: int) -> None:
    exact = Fraction(percent) * amount / 100
    off = discount_of(Discount(percent_off=percent), checkout(amount))
    assert abs(off - exact) <= Fraction(1, 2)
    assert off == int((Decimal(amount) * percent / 100).quantize(Decimal(1), ROUND_HALF_UP))


@given(discounts, amounts, amounts)
def test_whoever_buys_more_saves_no_less(discount: Discount, one: int, other: int) -> None:
    less, more = sorted((one, other))
    assert discount_of(discount, checkout(less)) <= discount_of(discount, checkout(more))


@given(discounts, discounts, amounts)
def test_two_codes_take_the_same_whichever_comes_first(one: Discount, other: Discount, amount: int) -> None:
    def both(first: Discount, second: Discount) -> int:
        taken = discount_of(first, checkout(amount))
        return taken + discount_of(second, checkout(amount, taken_minor=taken))

    assert both(one, other) == both(other, one)


FIXED = Discount(amount_off_minor=500, currency="USD", min_minor=1000, service="research")


@pytest.mark.parametrize(
    ("bought", "reason"),
    [
        (checkout(1000, service="research"), None),
        (checkout(999, service="research"), "below_minimum"),
        (checkout(1000, taken_minor=999, service="research"), None),
        (checkout(1000), "wrong_service"),
        (checkout(1000, service="chat"), "wrong_service"),
        (checkout(999, service="chat"), "below_minimum"),
        (checkout(10, currency="EUR"), "wrong_currency"),
    ],
)
def test_why_a_discount_does_not_hold(bought: Checkout, reason: str | None) -> None:
    assert unfit(FIXED, bought) == reason


def test_a_per_cent_without_a_currency_holds_for_all() -> None:
    tenth = Discount(percent_off=Decimal(10))
    assert unfit(tenth, checkout(1, currency="JPY", service="chat")) is None
    assert unfit(replace(tenth, currency="USD", min_minor=100), checkout(100, currency="JPY")) == "wrong_currency"


@pytest.mark.parametrize(
    ("rule", "present", "new", "allowed"),
    [
        ("none", [], "percent", True),
        ("none", [], "credits", True),
        ("none", ["percent"], "fixed", False),
        ("none", ["credits"], "percent", False),
        ("one_percent_one_fixed", ["percent"], "fixed", True),
        ("one_percent_one_fixed", ["fixed"], "percent", True),
        ("one_percent_one_fixed", ["percent"], "percent", False),
        ("one_percent_one_fixed", ["fixed"], "fixed", False),
        ("one_percent_one_fixed", ["percent"], "credits", False),
        ("one_percent_one_fixed", ["percent", "fixed"], "percent", False),
    ],
)
def test_which_codes_go_together(rule: str, present: list[Effect], new: Effect, allowed: bool) -> None:
    assert stacks(Stacking(rule), present, new) is allowed


def test_what_a_code_does() -> None:
    assert effect_of(None) == "credits"
    assert effect_of(FIXED) == "fixed"
    assert effect_of(Discount(percent_off=Decimal(1))) == "percent"
