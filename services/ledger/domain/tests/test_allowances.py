"""Plans and allowances: what an account opens with, what returns each month, and what never piles up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from services.ledger.domain import events as ev
from services.ledger.domain.commands import (
    Adjust,
    AssignPlan,
    CaptureHold,
    ChangeAccount,
    Charge,
    Close,
    CreateHold,
    Freeze,
    Grant,
    Refund,
    ReleaseHold,
    ResetAllowance,
    Sweep,
    Transfer,
)
from services.ledger.domain.config import ConfigDocument, compile_config
from services.ledger.domain.state import Threshold
from services.ledger.domain.tests.book import APP, DAY, START_US
from services.ledger.domain.tests.spec import ANN, Story

DAY_S = 86_400
FREE = {"limit": "100", "default": True}
PRO = {"limit": "500"}
TEAM = {"limit": "2000", "period": "anniversary", "grace_s": 3 * DAY_S}


def us(text: str) -> int:
    """A time in UTC, microseconds since the epoch."""
    return round(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1_000_000


def story(**plans: dict[str, Any]) -> Story:
    """A story of an app with these plans, and Free, Pro and Team beside them."""
    return Story.of(allowances={"free": FREE, "pro": PRO, "team": TEAM, **plans})


def until(story: Story, text: str) -> Story:
    """Time has passed up to this moment."""
    story.book.now = us(text)
    return story


def resets(story: Story, user: str = ANN) -> list[ev.AllowanceReset]:
    """Every reset so far."""
    return [event for event in story.book.events[user] if isinstance(event, ev.AllowanceReset)]


def left(story: Story, user: str = ANN) -> int:
    """What is available now."""
    return story.book.seen(user).available()


# Opening


def test_a_new_account_has_the_full_limit_of_the_default_plan_whatever_the_day() -> None:
    told = until(story(), "2026-01-20T15:00:00").when(Freeze(name="manual"))

    told.shows(available=100, settled=100)
    allowance = told.book.account(ANN).allowance
    assert allowance is not None
    assert (allowance.plan, allowance.last_reset) == ("free", us("2026-01-20T15:00:00"))
    assert allowance.next_reset == us("2026-02-01T00:00:00")


def test_a_first_charge_spends_what_the_account_opens_with() -> None:
    story().when(Charge(amount=30)).answered(available="70")
    story().when(CreateHold(amount=30, role="service")).answered(available="70", held="30")
    story().when(Charge(amount=101)).refused("insufficient_credits", available="100")
    story().given(Transfer(to_user="ben", amount=40)).shows(available=60)
    story().given(Adjust(amount=-40)).shows(available=60)


def test_a_refused_first_charge_opens_nothing() -> None:
    assert story().when(Charge(amount=101)).book.account(ANN).version == 0


def test_a_charge_of_nobody_opens_no_account_where_nothing_is_given() -> None:
    assert Story.of(allowances={"pro": PRO}).when(Charge(amount=1)).refused("insufficient_credits").last


# The month's end


def test_unused_allowance_does_not_pile_up_and_other_credits_stay() -> None:
    told = story().given(Grant(amount=50, source="paid"), Charge(amount=30))

    until(told, "2026-02-01T00:00:00").shows(available=150, settled=150)
    told.when(Sweep())

    reset = resets(told)[0]
    assert (reset.limit, reset.carried, reset.due_at) == (100, 0, us("2026-02-01T00:00:00"))
    assert [s.amount for s in reset.ended] == [70]
    assert told.book.laws.totals["@breakage"] == 70
    assert told.book.laws.totals["@issued/allowance"] == -200


def test_the_allowance_is_spent_before_bought_credits() -> None:
    told = story().given(Grant(amount=50, source="paid"), Charge(amount=100))

    until(told, "2026-02-01T00:00:00").shows(available=150)


def test_a_moment_before_the_month_ends_nothing_has_happened() -> None:
    told = story().given(Charge(amount=30))
    told.book.now = us("2026-02-01T00:00:00") - 1

    told.shows(available=70).when(Sweep())

    assert resets(told) == []


def test_the_months_of_a_zone() -> None:
    told = Story.of(zone="Asia/Kathmandu", allowances={"free": FREE}).given(Charge(amount=30))

    until(told, "2026-01-31T18:14:59").shows(available=70)
    until(told, "2026-01-31T18:15:00").shows(available=100)


def test_a_sweep_a_command_and_a_read_make_the_same_of_it() -> None:
    swept, asked, read = (story().given(Charge(amount=30)) for _ in range(3))
    for told in (swept, asked, read):
        until(told, "2026-02-03T12:00:00")
    swept.when(Sweep()).given(Charge(amount=10))
    asked.given(Charge(amount=10))

    seen = read.book.seen(ANN)
    lot = resets(swept)[0].lot

    assert swept.book.account(ANN) == asked.book.account(ANN)
    assert resets(swept) == resets(asked)
    assert lot is not None
    assert seen.allowance is not None
    assert seen.allowance.lots == (lot.grant,)


def test_a_reset_happens_once_in_a_period() -> None:
    told = until(story().given(Charge(amount=30)), "2026-02-01T00:00:00").given(Sweep(), Charge(amount=20), Sweep())

    assert len(resets(told)) == 1
    told.shows(available=80)


def test_missed_periods_do_not_stack_and_are_told() -> None:
    told = until(story().given(Charge(amount=30)), "2026-04-10T00:00:00").when(Sweep())

    (reset,) = resets(told)
    assert (reset.due_at, reset.skipped, reset.skipped_from) == (us("2026-04-01"), 2, us("2026-02-01"))
    assert (reset.period_start, reset.period_end) == (us("2026-04-01"), us("2026-05-01"))
    told.shows(available=100)


def test_a_frozen_account_is_reset_and_a_closed_one_is_not() -> None:
    frozen = until(story().given(Charge(amount=30), Freeze(name="manual")), "2026-02-01T00:00:00").when(Sweep())
    closed = until(story().given(Charge(amount=30), Close()), "2026-02-01T00:00:00").when(Sweep())

    frozen.shows(available=100)
    assert resets(closed) == []
    closed.shows(settled=0)


def test_a_reset_uses_the_configuration_that_was_in_force_when_it_was_due() -> None:
    told = story().given(Charge(amount=30))
    earlier = told.book.config
    plans = {"allowances": {"free": {"limit": "40", "default": True}}, "assets": {"coins": {"scale": 0}}}
    later = compile_config(APP, 2, ConfigDocument.model_validate(plans), us("2026-02-01T00:00:01"), earlier)
    told.book.config = later

    until(told, "2026-02-02T00:00:00").when(Sweep())

    assert (resets(told)[0].limit, resets(told)[0].config_version) == (100, 1)
    until(told, "2026-03-02T00:00:00").shows(available=40)


def test_a_plan_that_the_app_no_longer_has_ends_with_its_period() -> None:
    told = story().given(Charge(amount=30), Grant(amount=5))
    without = ConfigDocument.model_validate({"assets": {"coins": {"scale": 0}}})
    told.book.config = compile_config(APP, 2, without, us("2026-01-15T00:00:00"), told.book.config)

    until(told, "2026-02-01T00:00:00").when(Sweep()).shows(available=5)

    assert resets(told)[0].cause == "no_plan"
    until(told, "2026-05-01T00:00:00").when(Sweep())
    assert len(resets(told)) == 1
    told.when(ResetAllowance()).refused("no_allowance")


# What is held


def test_what_is_held_stays_capturable_and_is_lost_when_it_is_let_go() -> None:
    told = until(story(), "2026-01-31T23:00:00").given(
        CreateHold(amount=40, role="service", ttl_s=7200), CreateHold(amount=10, role="service", ttl_s=7200)
    )

    until(told, "2026-02-01T00:00:00").shows(settled=150, held=50, available=100)
    told.given(CaptureHold(hold="hold#1", amount=15)).shows(settled=110, held=10, available=100)
    told.given(ReleaseHold(hold="hold#2")).shows(settled=100, held=0, available=100)
    assert told.book.laws.totals["@breakage"] == 50 + 25 + 10


def test_a_hold_whose_limit_is_the_month_s_end_ends_first() -> None:
    told = until(story(rolling={"limit": "10", "rollover": {"max": "100"}}), "2026-01-31T23:00:00")
    told.given(AssignPlan(plan="rolling"), CreateHold(amount=8, role="service", ttl_s=3600))

    until(told, "2026-02-01T00:00:00").when(Sweep())

    assert resets(told)[0].carried == 10


def test_a_refund_of_what_the_allowance_before_paid_for_lasts_for_the_time_of_grace() -> None:
    told = until(story().given(Charge(amount=30)), "2026-02-01T00:00:00").given(Refund(charge="charge#1"))

    told.shows(available=130)
    until(told, "2026-02-08T00:00:00").shows(available=100)


# Rollover


@pytest.mark.parametrize(
    ("spent", "carried"),
    [(0, 30), (60, 30), (80, 20), (95, 10), (100, 10)],
)
def test_rollover_is_bounded_on_both_sides(spent: int, carried: int) -> None:
    told = story(rolling={"limit": "100", "rollover": {"min": "10", "max": "30"}}).given(AssignPlan(plan="rolling"))
    if spent:
        told.given(Charge(amount=spent))

    until(told, "2026-02-01T00:00:00").when(Sweep()).shows(available=100 + carried)

    assert resets(told)[0].carried == carried
    kept = min(carried, 100 - spent)
    assert told.book.laws.totals["@breakage"] == 100 - spent - kept
    assert told.book.laws.totals["@issued/allowance"] == -(200 + carried - kept)


def test_what_is_held_is_not_carried_over() -> None:
    told = story(rolling={"limit": "100", "rollover": {"max": "100"}}).given(AssignPlan(plan="rolling"))
    until(told, "2026-01-31T23:30:00").given(CreateHold(amount=60, role="service", ttl_s=7200))

    until(told, "2026-02-01T00:00:00").when(Sweep()).shows(available=140, held=60)


def test_rollover_through_missed_periods_is_what_it_would_have_been_month_by_month() -> None:
    plans = {"rolling": {"limit": "100", "rollover": {"max": "150"}}}
    missed, watched = (story(**plans).given(AssignPlan(plan="rolling"), Charge(amount=80)) for _ in range(2))
    for month in ("02", "03", "04"):
        until(watched, f"2026-{month}-01T00:00:00").when(Sweep())

    until(missed, "2026-04-01T00:00:00").when(Sweep())

    assert left(missed) == left(watched) == 250


# Debts


def test_the_allowance_repays_what_is_owed_and_then_a_used_overdraft() -> None:
    told = story().given(ChangeAccount(overdraft_limit=50), Charge(amount=130))

    until(told, "2026-02-01T00:00:00").shows(overdraft_used=0, available=120, settled=70)


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
    told = story().given(Charge(amount=30)).when(AssignPlan(plan="pro"))

    told.answered(plan="pro", available="470")
    shown = told.last.body["allowance"] if told.last else {}
    assert {name: shown[name] for name in ("status", "limit", "left", "used", "last_reset", "next_reset")} == {
        "status": "active",
        "limit": "500",
        "left": "470",
        "used": "30",
        "last_reset": "2026-01-01T00:00:00.000000Z",
        "next_reset": "2026-02-01T00:00:00.000000Z",
    }


# Thresholds


def test_a_threshold_in_per_cent_of_the_allowance() -> None:
    told = Story.of(allowances={"free": FREE, "pro": PRO}, thresholds=[{"below_percent": 10, "rearm_percent": 50}])

    told.given(Charge(amount=90)).when(Charge(amount=1))

    crossed = [e for e in told.book.events[ANN] if isinstance(e, ev.ThresholdCrossed)]
    assert [(e.threshold, e.percent, e.available) for e in crossed] == [(10, 10, 9)]
    told.given(AssignPlan(plan="pro"), Charge(amount=360))
    crossed = [e for e in told.book.events[ANN] if isinstance(e, ev.ThresholdCrossed)]
    assert [(e.threshold, e.available) for e in crossed] == [(10, 9), (50, 49)]


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
