"""Costs: worked by hand, against fractions, and by the laws that every price keeps."""

from __future__ import annotations

from fractions import Fraction
from math import ceil
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain.pricing.book import PriceBook, compile_book
from services.ledger.domain.pricing.card import PART_OF, Rate, RateCard
from services.ledger.domain.pricing.cost import Cost, cost
from services.ledger.domain.pricing.exact import COUNT_PLACES, PERCENT_PLACES, PRICE_PLACES, scaled, shown
from services.ledger.domain.rejections import Rejected
from services.ledger.domain.specs.prices import PricesSpec

ONE = 10**COUNT_PLACES


def book(**prices: Any) -> PriceBook:
    """The book of an app whose credits have two decimals."""
    return compile_book(PricesSpec.model_validate(prices), 7, {"credits": 2}, "credits")


def model(**spec: Any) -> RateCard:
    """The card of one model."""
    return book(models={"m": spec}).card("model", "m", "credits", None, 0)


def operation(**spec: Any) -> RateCard:
    """The card of one operation."""
    return book(operations={"op": spec}).card("price", "op", "credits", None, 0)


def of(card: RateCard, scale: int = 2, **usage: float) -> Cost:
    """What whole counts of units cost."""
    return cost(card, {unit: int(count * ONE) for unit, count in usage.items()}, scale)


def test_a_flat_price_times_its_quantity_is_rounded_up_once() -> None:
    card = operation(amount="0.335")
    assert of(card, quantity=1).amount == 34
    assert of(card, quantity=3).amount == 101
    assert of(card, quantity=0.5).amount == 17
    assert [(x.unit, x.count, x.unit_price, x.amount) for x in of(card, quantity=3).lines] == [
        ("quantity", "3", "0.335", "1.005")
    ]


def test_f10_graduated_unit_prices_are_of_the_part_that_lies_in_each_band() -> None:
    tiers = [
        {"over": 0, "up_to": 5_000, "amount": "0"},
        {"over": 5_000, "up_to": 505_000, "amount": "0.0018"},
        {"over": 505_000, "amount": "0.0009"},
    ]
    card = operation(tiers=tiers)
    assert of(card, quantity=5_000).amount == 0
    assert of(card, quantity=5_001).amount == 1
    assert of(card, quantity=505_000).amount == 900_00
    assert of(card, quantity=605_000).amount == 990_00
    assert [line.amount for line in of(card, quantity=605_000).lines] == ["0", "900", "90"]


def test_tokens_of_a_kind_are_part_of_the_others_and_are_not_paid_twice() -> None:
    card = model(input="2", cached="0.5", output="8")
    # 1,000,000 of input, of which 400,000 were cached: 0.6 × 2 + 0.4 × 0.5; 500,000 of output, reasoning among them.
    found = of(card, input=1_000_000, cached=400_000, output=500_000, reasoning=200_000)
    assert found.amount == 120 + 20 + 400
    assert [(x.unit, x.count, x.amount) for x in found.lines] == [
        ("input", "600000", "1.2"),
        ("output", "300000", "2.4"),
        ("cached", "400000", "0.2"),
        ("reasoning", "200000", "1.6"),
    ]


def test_long_input_is_charged_at_its_own_rates_all_of_it() -> None:
    card = model(input="1", output="10", long_input=[{"over": 200_000, "input": "2"}])
    assert of(card, input=200_000, output=1_000_000).amount == 20 + 1000
    assert of(card, input=200_001).amount == 41
    assert of(card, input=400_000, output=1_000_000).amount == 80 + 1000


def test_images_and_seconds_are_counted_one_by_one() -> None:
    card = model(input="1", images="0.04", seconds="0.0001")
    assert of(card, images=3, seconds=90.5).amount == 13
    assert [line.amount for line in of(card, images=3, seconds=90.5).lines] == ["0.12", "0.00905"]


def test_the_mark_up_comes_before_the_minimum_and_both_before_rounding() -> None:
    card = model(input="1", markup_percent="12.5", minimum="0.05")
    assert of(card, input=1).amount == 5
    assert of(card, input=50_000).amount == 6
    # 1.01 × 1.125 = 1.13625.
    assert of(card, input=1_010_000).amount == 114
    assert of(card, input=0).amount == 0


def test_a_unit_without_a_price_is_named() -> None:
    with pytest.raises(Rejected) as refused:
        of(model(input="1"), input=5, images=1)
    assert (refused.value.status, refused.value.code, refused.value.extra["unit"]) == (404, "unknown_price", "images")
    with pytest.raises(Rejected) as refused:
        of(operation(amount="1"), quantity=1, output=1)
    assert refused.value.extra["unit"] == "output"
    assert of(model(input="1"), input=5, images=0).amount == 1


def test_a_part_cannot_be_more_than_the_whole() -> None:
    with pytest.raises(Rejected) as refused:
        of(model(input="1", output="1"), input=10, cached=6, cache_write=5)
    assert (refused.value.status, refused.value.extra["errors"][0]["code"]) == (400, "usage_inconsistent")  # type: ignore[index]


prices = st.integers(0, 10**9).map(lambda n: shown(n, 7))
counts = st.integers(0, 10**12)
cards = st.builds(
    lambda rates, per, markup, minimum: RateCard(
        1,
        tuple(Rate(unit, price) for unit, price in rates.items()),
        model="m",
        per=per,
        markup_percent=shown(markup, PERCENT_PLACES),
        minimum=minimum,
    ),
    st.fixed_dictionaries(
        {"input": prices, "output": prices, "images": prices, "seconds": prices},
        optional={"cached": prices, "cache_write": prices, "reasoning": prices},
    ),
    st.sampled_from([1, 1_000, 1_000_000]),
    st.integers(0, 3 * 10**6),
    st.integers(0, 500),
)


@st.composite
def usages(draw: st.DrawFn) -> dict[str, int]:
    """A use that adds up: parts are within their wholes."""
    usage = {unit: draw(counts) for unit in ("input", "output", "images", "seconds")}
    for part, whole in PART_OF.items():
        usage[part] = extra = draw(counts)
        usage[whole] += extra
    return usage


def exactly(card: RateCard, usage: dict[str, int], scale: int) -> int:
    """The cost by fractions, written down another way."""
    rates = {rate.unit: Fraction(rate.price) for rate in card.rates}
    total = Fraction(0)
    for unit, count in usage.items():
        of_whole = PART_OF.get(unit)
        per = 1 if unit in ("images", "seconds") else card.per
        rate = rates.get(unit, rates.get(of_whole or "", Fraction(0)))
        total += Fraction(count, ONE) * rate / per
        if of_whole is not None:
            total -= Fraction(count, ONE) * rates[of_whole] / card.per
    if not total:
        return 0
    amount: int = ceil(total * (1 + Fraction(card.markup_percent) / 100) * 10**scale)
    return max(amount, card.minimum)


@given(cards, usages(), st.integers(0, 9))
def test_law_the_cost_is_exact(card: RateCard, usage: dict[str, int], scale: int) -> None:
    try:
        found = cost(card, usage, scale)
    except Rejected as refused:
        assert refused.extra["errors"][0]["code"] == "amount_too_large"  # type: ignore[index]
        return
    assert found.amount == exactly(card, usage, scale)
    assert sum(Fraction(line.amount) for line in found.lines) * (1 + Fraction(card.markup_percent) / 100) <= Fraction(
        found.amount, 10**scale
    )


@given(cards, usages(), usages())
def test_law_more_use_never_costs_less_and_splitting_it_never_saves(
    card: RateCard, one: dict[str, int], other: dict[str, int]
) -> None:
    both = {unit: one[unit] + other[unit] for unit in one}
    together = exactly(card, both, 2)
    if together > 10**15:
        return
    first, second, whole = (cost(card, usage, 2).amount for usage in (one, other, both))
    assert whole >= max(first, second)
    assert whole <= first + second


@given(st.integers(0, 10**18), st.sampled_from([COUNT_PLACES, PRICE_PLACES]))
def test_law_decimals_are_read_as_they_are_written(value: int, places: int) -> None:
    assert scaled(shown(value, places), places) == value


@given(st.lists(st.integers(1, 1000), max_size=5, unique=True), st.data())
def test_law_graduated_prices_are_exact(bounds: list[int], data: st.DataObject) -> None:
    starts = [0, *sorted(bounds)]
    amounts = [data.draw(prices) for _ in starts]
    tiers = [
        {"over": start, "up_to": end, "amount": amount}
        for start, end, amount in zip(starts, [*starts[1:], None], amounts, strict=True)
    ]
    quantity = data.draw(st.integers(0, 1200 * ONE))
    expected = sum(
        (
            max(Fraction(0), min(Fraction(quantity, ONE), Fraction(end or 10**9)) - start) * Fraction(amount)
            for start, end, amount in zip(starts, [*starts[1:], None], amounts, strict=True)
        ),
        Fraction(0),
    )
    assert cost(operation(tiers=tiers), {"quantity": quantity}, 2).amount == ceil(expected * 100)
