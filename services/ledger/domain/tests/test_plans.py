"""Plans: paid for or not, by anniversary, changed within a period, reset by hand; thresholds of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from libs.events.ids import parse_id
from services.ledger.domain import events as ev
from services.ledger.domain.allowances import shown, threshold_shown
from services.ledger.domain.commands import (
    AssignPlan,
    ChangeAccount,
    Charge,
    CreateHold,
    Grant,
    ResetAllowance,
    Sweep,
)
from services.ledger.domain.config import ConfigDocument
from services.ledger.domain.state import Threshold
from services.ledger.domain.tests.book import DAY, START_US
from services.ledger.domain.tests.plans import DAY_S, FREE, PRO, resets, story, until, us
from services.ledger.domain.tests.spec import ANN, Story

# Payment


def test_a_plan_that_is_not_paid_for_lapses_and_is_resumed() -> None:
    told = until(story(), "2026-01-15T10:00:00").given(
        AssignPlan(plan="pro", paid_until=us("2026-02-10T00:00:00")), Charge(amount=100)
    )

    until(told, "2026-02-05T00:00:00").shows(available=500)
    until(told, "2026-03-01T00:00:00").when(Sweep()).shows(available=0)
    assert [reset.cause for reset in resets(told)] == ["unpaid"]
    assert resets(told)[0].skipped == 1
    until(told, "2026-06-01T00:00:00").when(Sweep()).shows(available=0)
    assert len(resets(told)) == 1

    until(told, "2026-06-20T00:00:00").given(AssignPlan(plan="pro", paid_until=us("2026-07-20T00:00:00")))

    told.shows(available=500)
    until(told, "2026-07-01T00:00:00").shows(available=500)
    until(told, "2026-08-01T00:00:00").shows(available=0)


def test_in_the_time_of_grace_a_reset_still_happens() -> None:
    anchor = us("2026-01-10T08:00:00")
    told = until(story(), "2026-01-10T08:00:00")
    told.given(AssignPlan(plan="team", paid_until=us("2026-02-10T08:00:00")), Charge(amount=2000))

    until(told, "2026-02-10T08:00:00").shows(available=2000)
    until(told, "2026-03-10T08:00:00").shows(available=0)
    allowance = told.book.account(ANN).allowance
    assert allowance is not None
    assert allowance.anchor == anchor


def test_without_grace_the_last_paid_moment_is_before_paid_until() -> None:
    told = story().given(AssignPlan(plan="pro", paid_until=us("2026-02-01T00:00:00")))

    until(told, "2026-02-01T00:00:00").shows(available=0)


def test_a_plan_paid_for_later_begins_when_it_is_paid() -> None:
    told = story(free={"limit": "100"}).given(AssignPlan(plan="pro", paid_until=START_US - DAY))

    told.shows(available=0).when(ResetAllowance()).refused("no_allowance")
    told.said("The account has no allowance that could be reset.")
    told.given(AssignPlan(plan="pro", paid_until=START_US + 90 * DAY)).shows(available=500)


# Anniversaries


def test_an_anniversary_plan_returns_on_the_day_it_began() -> None:
    told = until(story(), "2026-01-31T09:30:00").given(AssignPlan(plan="team"), Charge(amount=500))

    until(told, "2026-02-28T09:29:59").shows(available=1500)
    until(told, "2026-02-28T09:30:00").when(Sweep()).shows(available=2000)
    until(told, "2026-03-31T09:29:59").when(Charge(amount=1))
    assert len(resets(told)) == 1
    until(told, "2026-03-31T09:30:00").shows(available=2000)


def test_an_anchor_that_is_named() -> None:
    told = story().given(AssignPlan(plan="team", anchor=us("2025-11-15T12:00:00")), Charge(amount=500))

    until(told, "2026-01-15T12:00:00").shows(available=2000)


# Changes within a period


def test_a_greater_plan_adds_the_difference_at_once_and_a_smaller_one_takes_it_back() -> None:
    told = story().given(Charge(amount=30), AssignPlan(plan="pro")).shows(available=470)

    told.given(AssignPlan(plan="free")).shows(available=70)
    told.given(AssignPlan(plan="pro"), AssignPlan(plan="free"), AssignPlan(plan="pro")).shows(available=470)
    until(told, "2026-02-01T00:00:00").shows(available=500)


def test_changing_to_and_fro_gives_nothing_that_was_spent() -> None:
    told = story().given(AssignPlan(plan="pro"), Charge(amount=300))

    told.given(AssignPlan(plan="free")).shows(available=0, owed=0)
    told.given(AssignPlan(plan="pro")).shows(available=200)


def test_a_smaller_plan_leaves_what_is_held_and_what_was_bought() -> None:
    told = story().given(AssignPlan(plan="pro"), Grant(amount=50, source="paid"))
    told.given(CreateHold(amount=450, role="service"))

    told.given(AssignPlan(plan="free")).shows(held=450, available=50)


def test_a_plan_of_another_period_begins_now() -> None:
    told = until(story(), "2026-01-20T00:00:00").given(Charge(amount=30), AssignPlan(plan="team"))

    told.shows(available=2000)
    until(told, "2026-02-01T00:00:00").shows(available=2000)
    assert told.book.laws.totals["@breakage"] == 70


def test_the_same_plan_again_changes_its_dates_only() -> None:
    told = story().given(AssignPlan(plan="pro", paid_until=us("2026-02-01T00:00:00")), Charge(amount=100))

    told.when(AssignPlan(plan="pro", paid_until=us("2026-03-01T00:00:00"))).shows(available=400)
    assert told.last is not None
    assert len(told.last.events) == 1
    told.when(AssignPlan(plan="pro", paid_until=us("2026-03-01T00:00:00")))
    assert told.last.events == []


def test_without_a_plan_what_is_left_lasts_to_the_end_of_the_period() -> None:
    told = story().given(Charge(amount=30)).when(AssignPlan(plan=None))

    told.shows(available=70).answered(plan=None)
    told.given(AssignPlan(plan="free")).shows(available=70)
    told.given(AssignPlan(plan=None))
    until(told, "2026-02-01T00:00:00").when(Sweep()).shows(available=0)
    assert resets(told) == []


def test_a_plan_must_be_one_of_the_asset() -> None:
    told = Story.of(
        assets={"coins": {"scale": 0, "default": True}, "gems": {"scale": 0}},
        allowances={"free": FREE, "sparkle": {"limit": "5", "asset": "gems"}},
    )
    told.when(AssignPlan(plan="sparkle")).refused("plan_not_found")
    told.when(AssignPlan(plan="unknown")).refused("plan_not_found")


# By hand


def test_a_reset_by_hand_restores_the_limit_and_leaves_the_schedule() -> None:
    told = story().given(Grant(amount=50, source="paid"), Charge(amount=30)).after(3600).given(ResetAllowance())

    told.shows(available=150)
    allowance = told.book.account(ANN).allowance
    assert allowance is not None
    assert (allowance.last_reset, allowance.next_reset) == (START_US + 3600 * 1_000_000, us("2026-02-01T00:00:00"))
    assert allowance.spent_before == 30
    told.given(ResetAllowance()).shows(available=150)
    until(told, "2026-02-01T00:00:00").shows(available=150)


def test_what_an_answer_tells_of_the_allowance() -> None:
    told = story(pro={"limit": "500", "rollover": {"max": "40"}}).given(Charge(amount=30)).when(AssignPlan(plan="pro"))

    told.answered(plan="pro", available="470")
    assert told.last is not None
    assert told.last.body["allowance"] == {
        "status": "active",
        "limit": "500",
        "carried": "0",
        "left": "470",
        "used": "30",
        "last_reset": "2026-01-01T00:00:00.000000Z",
        "next_reset": "2026-02-01T00:00:00.000000Z",
        "period_start": "2026-01-01T00:00:00.000000Z",
        "period_end": "2026-02-01T00:00:00.000000Z",
        "anchor": None,
        "paid_until": None,
    }
    assert shown(until(told, "2026-02-01T00:00:00").book.seen(ANN))["allowance"] == {
        "status": "active",
        "limit": "500",
        "carried": "40",
        "left": "540",
        "used": "0",
        "last_reset": "2026-02-01T00:00:00.000000Z",
        "next_reset": "2026-03-01T00:00:00.000000Z",
        "period_start": "2026-02-01T00:00:00.000000Z",
        "period_end": "2026-03-01T00:00:00.000000Z",
        "anchor": None,
        "paid_until": None,
    }


def test_who_never_had_a_plan_has_no_allowance_to_show() -> None:
    assert shown(Story.of().given(Grant(amount=5)).book.seen(ANN)) == {"plan": None, "allowance": None}


def test_the_lot_of_a_reset_is_named_as_every_grant_and_by_reads_alike() -> None:
    told = until(story().given(Charge(amount=1)), "2026-02-01T00:00:00")
    seen = told.book.seen(ANN).allowance
    (event,) = resets(told.given(Sweep()))

    assert event.lot is not None
    assert seen is not None
    assert seen.lots == (event.lot.grant,)
    assert parse_id(event.lot.grant, "grant") == 0


# Thresholds


def test_a_threshold_in_per_cent_of_the_allowance() -> None:
    told = Story.of(allowances={"free": FREE, "pro": PRO}, thresholds=[{"below_percent": 10, "rearm_percent": 50}])

    told.given(Charge(amount=90)).when(Charge(amount=1))

    crossed = [e for e in told.book.events[ANN] if isinstance(e, ev.ThresholdCrossed)]
    assert [(e.threshold, e.percent, e.available) for e in crossed] == [(10, 10, 9)]
    told.given(AssignPlan(plan="pro"), Charge(amount=360))
    crossed = [e for e in told.book.events[ANN] if isinstance(e, ev.ThresholdCrossed)]
    assert [(e.threshold, e.available) for e in crossed] == [(10, 9), (50, 49)]


def test_how_thresholds_are_shown() -> None:
    assert threshold_shown(Threshold(250, 400), 2) == {"below": "2.50", "rearm_at": "4.00"}
    assert threshold_shown(Threshold(0, 0, 10, 50), 2) == {"below_percent": 10, "rearm_percent": 50}
    assert threshold_shown(Threshold(0, 0, 10), 2) == {"below_percent": 10, "rearm_percent": 10}


def test_an_account_s_own_threshold_in_per_cent() -> None:
    own = (Threshold(0, 0, percent=25),)
    told = story().given(ChangeAccount(thresholds=own), Charge(amount=75)).when(Charge(amount=1))

    assert told.last is not None
    assert isinstance(told.last.events[-1], ev.ThresholdCrossed)


@pytest.mark.parametrize(
    "plans",
    [
        {"a": {"limit": "0"}},
        {"a": {"limit": "0.5"}},
        {"a": {"limit": "5", "asset": "gems"}},
        {"a": {"limit": "5", "period": "weekly"}},
        {"a": {"limit": "5", "rollover": {"min": "5", "max": "4"}}},
        {"a": {"limit": "5", "rollover": {"min": "-1", "max": "4"}}},
        {"a": {"limit": "5", "default": True}, "b": {"limit": "6", "default": True}},
    ],
)
def test_plans_that_make_no_sense_are_refused(plans: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"(?s)validation error"):
        ConfigDocument.model_validate({"assets": {"coins": {"scale": 0}}, "allowances": plans})


def test_a_book_keeps_its_laws_through_years_of_plans() -> None:
    told = story(rolling={"limit": "7", "rollover": {"min": "2", "max": "30"}})
    for number in range(60):
        told.after(9 * DAY_S).when(Charge(amount=number % 40 + 1))
        told.when(AssignPlan(plan=["free", "team", "rolling", None, "pro"][number % 5]))
        told.when(CreateHold(amount=number % 11 + 1, role="service", ttl_s=DAY_S))
    assert told.book.account(ANN).version > 100
    assert replace(told.book.account(ANN)).owed == 0
