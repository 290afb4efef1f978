"""Who may be bound to whom, what is flagged, and what a payment earns."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.codes.domain.referrals.binding import DAY_US, HOUR_US, Binding, flags_of, must_wait, refusal_of
from services.codes.domain.referrals.rewards import Order, due_at_us, month_of, promises, text_of, wanted, within_limit
from services.codes.domain.referrals.terms import FlagTerms, ReferralTerms

NOW_US = 1_790_000_000_000_000
FLAGS = FlagTerms()
PLAIN = Binding("ben", ("ada",), NOW_US, {}, (), (), opened_at_us=NOW_US - 30 * DAY_US)
TERMS = ReferralTerms.model_validate({"referrer": {"amount": "20"}, "month_max_credits": "100"})


@pytest.mark.parametrize(
    ("changes", "refusal"),
    [
        ({}, None),
        ({"is_bound": True, "has_paid": True, "ancestors": ("ben",)}, "already_bound"),
        ({"has_paid": True, "ancestors": ("ben",)}, "already_paid"),
        ({"ancestors": ("ben",)}, "self_referral"),
        ({"signals": {"phone": b"1"}, "earners": [("phone", b"1")]}, "self_referral"),
        ({"signals": {"card": b"1"}, "earners": [("card", b"1")]}, "self_referral"),
        ({"signals": {"email": b"1"}, "earners": [("email", b"1")]}, "self_referral"),
        ({"signals": {"email": b"1"}, "earners": [("phone", b"1")]}, None),
        ({"signals": {"device": b"1"}, "earners": [("device", b"1")]}, None),
        ({"ancestors": ("ada", "ben")}, "referral_cycle"),
        ({"ancestors": ("ada", "eva", "zoe", "ben")}, "referral_cycle"),
        ({"ancestors": ("ada", "eva")}, None),
    ],
)
def test_refusals_in_their_order(changes: dict[str, Any], refusal: str | None) -> None:
    assert refusal_of(replace(PLAIN, **changes)) == refusal


@pytest.mark.parametrize(
    ("changes", "flags"),
    [
        ({}, []),
        ({"signals": {"network": b"1"}, "circle": [("network", b"1")]}, ["network"]),
        (
            {"signals": {"network": b"1", "name": b"2"}, "circle": [("network", b"1"), ("name", b"2")]},
            ["network", "name"],
        ),
        ({"signals": {"device": b"1"}, "circle": [("name", b"1")]}, []),
        ({"referrals_today": 4}, []),
        ({"referrals_today": 5}, ["many_a_day"]),
        ({"opened_at_us": None}, ["new_account"]),
        ({"opened_at_us": NOW_US - 24 * HOUR_US + 1}, ["new_account"]),
        ({"opened_at_us": NOW_US - 24 * HOUR_US}, []),
        ({"opened_at_us": NOW_US, "referrals_today": 9}, ["many_a_day", "new_account"]),
    ],
)
def test_flags(changes: dict[str, Any], flags: list[str]) -> None:
    found = flags_of(replace(PLAIN, **changes), FLAGS)
    assert found == flags
    assert must_wait(found, FLAGS) == (len(flags) >= 2)


def test_no_flags_where_the_app_wants_none() -> None:
    quiet = FlagTerms(account_hours_min=0, day_max=1000, signals_min=5)
    assert flags_of(replace(PLAIN, opened_at_us=None, referrals_today=99), quiet) == []


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=40))
def test_nobody_is_ever_their_own_referrer_by_any_way(attempts: list[tuple[int, int]]) -> None:
    referrer_of: dict[str, str] = {}

    def upward(user: str) -> list[str]:
        chain = [user]
        while (above := referrer_of.get(chain[-1])) is not None:
            assert above not in chain
            chain.append(above)
        return chain

    for low, high in attempts:
        referee, referrer = f"u{low}", f"u{high}"
        binding = replace(PLAIN, referee=referee, ancestors=upward(referrer), is_bound=referee in referrer_of)
        refusal = refusal_of(binding)
        if refusal is None:
            referrer_of[referee] = referrer
        else:
            # Refused only with a reason that is there.
            assert referee in referrer_of or referee in upward(referrer)
        for user in list(referrer_of):
            assert len(upward(user)) <= 6


def order(amount_minor: int = 1000, currency: str = "USD") -> Order:
    return Order("order_1", amount_minor, currency, NOW_US)


def terms(**changes: Any) -> ReferralTerms:
    return ReferralTerms.model_validate({**TERMS.model_dump(exclude_none=True), **changes})


def test_fixed_rewards_of_both_levels_and_the_referee() -> None:
    both = terms(referee={"amount": "10"}, second_level={"amount": "2.5"})
    made = list(promises(order(), both, "ben", "ada", "eva"))
    assert [(one.role, one.user, text_of(wanted(one, 0, 0))) for one in made] == [
        ("referrer", "ada", "20"),
        ("referee", "ben", "10"),
        ("second_level", "eva", "2.5"),
    ]
    assert [one.role for one in promises(order(), both, "ben", "ada", None)] == ["referrer", "referee"]
    assert [one.role for one in promises(order(), TERMS, "ben", "ada", "eva")] == ["referrer"]


@pytest.mark.parametrize(
    ("percent", "rate", "left_minor", "decimals", "expected"),
    [
        (10, "0.01", 499, 2, "0.50"),
        (10, "0.01", 494, 2, "0.49"),
        (10, "0.01", 495, 2, "0.50"),
        (10, "0.01", 0, 2, "0.00"),
        (5, "1", 1000, 0, "50"),
        (5, "0.1", 450, 0, "2"),
        (5, "0.1", 500, 0, "3"),
        (100, "999999999999999", 10**15, 9, "999999999999999000000000000000.000000000"),
    ],
)
def test_per_cent_of_what_is_left_of_the_order(
    percent: int, rate: str, left_minor: int, decimals: int, expected: str
) -> None:
    share = terms(referrer={"order_percent": percent}, credits_per_minor={"USD": rate})
    (promise,) = promises(order(), share, "ben", "ada", None)
    assert text_of(wanted(promise, left_minor, decimals)) == expected
    assert list(promises(order(currency="EUR"), share, "ben", "ada", None)) == []


@given(st.lists(st.decimals(0, 300, places=2), max_size=30), st.decimals(0, 500, places=2))
def test_a_month_never_brings_more_than_its_limit(rewards: list[Decimal], limit: Decimal) -> None:
    earned = Decimal(0)
    for reward in rewards:
        paid = within_limit(reward, earned, limit)
        assert Decimal(0) <= paid <= reward
        assert paid == reward or earned + paid == limit
        earned += paid
    assert earned <= limit


def test_a_limit_that_was_lowered_takes_nothing_back() -> None:
    assert within_limit(Decimal(5), Decimal(30), Decimal(20)) == 0


def test_the_hold_and_the_month_by_the_apps_clocks() -> None:
    assert due_at_us(order(), TERMS) == NOW_US + 14 * DAY_US
    eve = 1_798_748_000_000_000  # 2026-12-31T20:13:20Z
    assert month_of(eve, ZoneInfo("UTC")) == "2026-12"
    assert month_of(eve, ZoneInfo("Asia/Tehran")) == "2026-12"
    assert month_of(eve + 3600_000_000, ZoneInfo("Asia/Tehran")) == "2027-01"


@pytest.mark.parametrize(
    "wrong",
    [
        {"referrer": {}},
        {"referrer": {"amount": "1", "order_percent": 5}},
        {"referrer": {"amount": "0"}},
        {"referrer": {"amount": "-1"}},
        {"referrer": {"amount": 1.5}},
        {"referrer": {"order_percent": 5}},
        {"referrer": {"order_percent": 101}, "credits_per_minor": {"USD": "1"}},
        {"credits_per_minor": {"usd": "1"}},
        {"month_max_credits": None},
        {"hold_days": -1},
        {"hold_days": "14"},
        {"third_level": {"amount": "1"}},
        {"link": "https://t.me/bot"},
        {"link": "https://t.me/{code}/{code}"},
        {"link": "javascript:{code}"},
        {"after_refund": "perhaps"},
        {"flags": {"signals_min": 0}},
    ],
)
def test_what_is_wrong_with_a_programme(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        ReferralTerms.model_validate({**TERMS.model_dump(exclude_none=True), **wrong})


def test_the_link_holds_the_code() -> None:
    linked = terms(link="https://t.me/bot?start={code}")
    assert linked.link_of("ADA2026") == "https://t.me/bot?start=ADA2026"
    assert TERMS.link_of("ADA2026") is None
