"""When a code works, and which refusal wins where several hold."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from services.codes.domain.codes import (
    DAY_US,
    Audience,
    Code,
    Counts,
    Credits,
    RefusalCode,
    Terms,
    Use,
    all_refusals,
    refusal_of,
)
from services.codes.domain.discounts import Checkout, Discount

NOW = 1_800_000_000_000_000
DISCOUNT = Discount(percent_off=Decimal(10), currency="USD", min_minor=1000, service="research")
CODE = Code("code_1", "shop", "discount", Terms(Credits(Decimal(5)), DISCOUNT), max_uses=10, ends_at=NOW + 1)
CHECKOUT = Checkout("order_1", 1000, "USD", "research")
USE = Use("ann", CHECKOUT)
COUNTS = Counts(gives=Decimal(5), takes_off_minor=100)

# Every refusal with what alone causes it, in the order in which they win.
CAUSES: list[tuple[RefusalCode, dict[str, Any]]] = [
    ("code_inactive", {"code": {"status": "paused"}}),
    ("code_not_yet_valid", {"code": {"starts_at": NOW + 1}}),
    ("code_expired", {"code": {"ends_at": NOW}}),
    ("code_used_up", {"code": {"reserved": 4, "redeemed": 6}}),
    ("code_already_redeemed", {"counts": {"by_user": 1}}),
    ("code_not_for_you", {"code": {"audience": Audience("list", frozenset({"ben"}))}}),
    ("below_minimum", {"checkout": {"amount_minor": 999}}),
    ("wrong_service", {"checkout": {"service": "images"}}),
    ("budget_spent", {"counts": {"budget_left": Decimal(4)}}),
]


def judged(*causes: dict[str, Any]) -> list[str]:
    """The refusals of the code when all of these hold at once."""
    code, counts, checkout = CODE, COUNTS, CHECKOUT
    for cause in causes:
        code = replace(code, **cause.get("code", {}))
        counts = replace(counts, **cause.get("counts", {}))
        checkout = replace(checkout, **cause.get("checkout", {}))
    use = replace(USE, checkout=checkout)
    first = refusal_of(code, use, counts, NOW)
    found = [refusal.code for refusal in all_refusals(code, use, counts, NOW)]
    assert (None if first is None else first.code) == (found[0] if found else None)
    return list(found)


def test_a_code_that_nothing_speaks_against_works() -> None:
    assert judged() == []
    assert refusal_of(replace(CODE, max_uses=None, per_user_limit=None), USE, replace(COUNTS, by_user=99), NOW) is None


def test_a_code_that_is_not_there_is_not_found_and_nothing_else() -> None:
    assert [refusal.code for refusal in all_refusals(None, USE, COUNTS, NOW)] == ["code_not_found"]


@pytest.mark.parametrize(("refusal", "cause"), CAUSES, ids=[refusal for refusal, _ in CAUSES])
def test_each_reason_alone(refusal: str, cause: dict[str, Any]) -> None:
    assert judged(cause) == [refusal]


@pytest.mark.parametrize("place", range(len(CAUSES)))
def test_the_first_in_the_list_wins_over_all_that_follow(place: int) -> None:
    found = judged(*[cause for _, cause in CAUSES[place:]])
    assert found[0] == CAUSES[place][0]
    # An amount below the minimum is told before the service is looked at.
    assert found == [refusal for refusal, _ in CAUSES[place:] if refusal != "wrong_service" or place > 6]


@pytest.mark.parametrize("status", ["paused", "void"])
def test_neither_a_paused_nor_a_void_code_works(status: str) -> None:
    assert judged({"code": {"status": status}}) == ["code_inactive"]


def test_nor_does_one_whose_campaign_is_over() -> None:
    assert judged({"counts": {"campaign_active": False}}) == ["code_inactive"]


def test_a_window_is_closed_at_its_end_and_open_at_its_start() -> None:
    assert judged({"code": {"starts_at": NOW, "ends_at": NOW + 1}}) == []
    assert judged({"code": {"ends_at": NOW}}) == ["code_expired"]


def test_a_budget_is_spent_to_its_last_part() -> None:
    assert judged({"counts": {"budget_left": Decimal(5), "budget_left_minor": 100}}) == []
    assert judged({"counts": {"budget_left_minor": 99}}) == ["budget_spent"]


@pytest.mark.parametrize(
    ("facts", "new"),
    [
        ({}, True),
        ({"opened_at": NOW - 30 * DAY_US + 1}, True),
        ({"opened_at": NOW - 30 * DAY_US}, False),
        ({"opened_at": NOW, "first_paid_at": NOW}, False),
    ],
    ids=["unknown", "within the days", "after them", "has paid"],
)
def test_who_is_new(facts: dict[str, int], new: bool) -> None:
    code = replace(CODE, audience=Audience("new"))
    refusal = refusal_of(code, Use("ann", CHECKOUT, **facts), COUNTS, NOW)
    assert (refusal is None) == new


def test_a_code_that_is_bound_is_for_its_holder() -> None:
    code = replace(CODE, audience=Audience("holder", frozenset({"ann"})))
    assert code.audience.holder == "ann"
    assert refusal_of(code, USE, COUNTS, NOW) is None
    refused = refusal_of(code, replace(USE, user="ben"), COUNTS, NOW)
    assert refused is not None
    assert refused.code == "code_not_for_you"
