"""The price book: which card holds, when, for whom; and documents that are refused."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from libs.events.envelope import parse_time
from services.ledger.domain.pricing.book import PriceBook, compile_book
from services.ledger.domain.rejections import Rejected
from services.ledger.domain.specs.prices import PricesSpec

SCALES = {"credits": 2, "gems": 0}


def book(**prices: Any) -> PriceBook:
    """A book of an app with two assets."""
    spec = PricesSpec.model_validate(prices)
    spec.check(SCALES, "credits")
    return compile_book(spec, 7, SCALES, "credits")


def code(prices: PriceBook, *asked: Any) -> str:
    """Why there is no card."""
    with pytest.raises(Rejected) as refused:
        prices.card(*asked)
    assert refused.value.status == 404
    return refused.value.code


def test_the_card_of_a_time_is_the_last_that_began() -> None:
    prices = book(
        operations={
            "text": [{"amount": "1"}, {"from": "2026-06-01T00:00:00Z", "amount": "2"}],
            "image": {"from": "2026-06-01T00:00:00+02:00", "amount": "5"},
        }
    )
    before, after = parse_time("2026-05-31T23:59:59.999999Z"), parse_time("2026-06-01T00:00:00Z")
    assert prices.card("price", "text", "credits", None, before).rates[0].price == "1"
    assert prices.card("price", "text", "credits", None, after).rates[0].price == "2"
    assert prices.ordinary.operations["text"].next_change(before) == after
    assert prices.ordinary.operations["text"].next_change(after) is None
    begins = parse_time("2026-05-31T22:00:00Z")
    assert code(prices, "price", "image", "credits", None, begins - 1) == "unknown_price"
    assert prices.card("price", "image", "credits", None, begins).version == 7


def test_a_customer_pays_the_list_where_it_has_the_name_and_the_ordinary_price_otherwise() -> None:
    prices = book(
        operations={"text": {"amount": "3"}, "image": {"amount": "5"}},
        lists={"partner": {"operations": {"text": {"amount": "2"}}}},
    )
    card = prices.card("price", "text", "credits", "partner", 0)
    assert (card.rates[0].price, card.price_list) == ("2", "partner")
    assert prices.card("price", "image", "credits", "partner", 0).price_list is None
    assert prices.card("price", "text", "credits", "gone", 0).rates[0].price == "3"


def test_a_model_is_found_without_its_provider_where_that_names_one_only() -> None:
    price = {"input": "1"}
    prices = book(models={"openai/gpt-4o": price, "azure/gpt-4o": price, "openai/o3": price, "groq/meta/llama": price})
    assert prices.card("model", "o3", "credits", None, 0).model == "openai/o3"
    assert prices.card("model", "meta/llama", "credits", None, 0).model == "groq/meta/llama"
    assert code(prices, "model", "gpt-4o", "credits", None, 0) == "unknown_price"
    assert code(prices, "price", "o3", "credits", None, 0) == "unknown_price"


def test_a_price_is_in_one_asset() -> None:
    prices = book(operations={"hat": {"amount": "1.5", "asset": "gems", "minimum": "2"}})
    assert prices.card("price", "hat", "gems", None, 0).minimum == 2
    assert code(prices, "price", "hat", "credits", None, 0) == "unknown_price"


def test_dates_and_lists_are_written_back_as_they_were_read() -> None:
    spec = PricesSpec.model_validate(
        {"models": {"m": [{"input": "1"}, {"from": "2026-06-01T00:00:00Z", "input": "2", "markup_percent": 20}]}}
    )
    data = spec.model_dump(mode="json", exclude_defaults=True)
    assert data == {
        "models": {"m": [{"input": "1"}, {"from": "2026-06-01T00:00:00Z", "input": "2", "markup_percent": "20"}]}
    }
    assert PricesSpec.model_validate(data) == spec


def tiers(*bands: tuple[int, int | None]) -> dict[str, Any]:
    """An operation with these bands."""
    return {"operations": {"op": {"tiers": [{"over": a, "up_to": b, "amount": "1"} for a, b in bands]}}}


@pytest.mark.parametrize(
    ("prices", "says"),
    [
        (tiers((0, 10), (11, None)), "gap in the tiers between 10 and 11"),
        (tiers((0, 10), (9, None)), "overlaps"),
        (tiers((5, None)), "gap in the tiers between 0 and 5"),
        (tiers((0, 10)), "gap in the tiers above 10"),
        (tiers((0, None), (10, None)), "overlaps"),
        (tiers((0, 10), (10, 10), (10, None)), "ends before it begins"),
        ({"operations": {"op": {}}}, "either an amount or tiers"),
        ({"operations": {"op": {"amount": "1.0000000000001"}}}, "at most 12 decimals"),
        ({"operations": {"op": {"amount": "-1"}}}, "not a decimal number"),
        ({"operations": {"op": {"amount": 1.5}}}, "valid string"),
        ({"operations": {"op": {"amount": "1", "minimum": "0.001"}}}, "decimals"),
        ({"operations": {"op": {"amount": "1", "minimum": "-1"}}}, "zero or more"),
        ({"operations": {"op": {"amount": "1", "asset": "euros"}}}, "no asset"),
        ({"operations": {"op": [{"amount": "1"}, {"amount": "2"}]}}, "in the order of their 'from'"),
        ({"operations": {"op": []}}, "at least 1"),
        ({"models": {"m": {}}}, "at least one unit"),
        ({"models": {"m": {"input": "1", "reasoning": "1"}}}, "part of 'output'"),
        ({"models": {"m": {"input": "1", "per": 500}}}, "1, 1000 or 1000000"),
        ({"models": {"m": {"input": "1", "long_input": [{"over": 5, "output": "1"}]}}}, "none for the rest"),
        ({"models": {"m": {"input": "1", "long_input": [{"over": 5}, {"over": 5}]}}}, "begin higher"),
        ({"lists": {"l": {"operations": {"op": {"amount": "1", "asset": "euros"}}}}}, "no asset"),
    ],
)
def test_a_document_that_makes_no_sense_is_refused(prices: dict[str, Any], says: str) -> None:
    with pytest.raises((ValidationError, ValueError), match=says):
        book(**prices)
