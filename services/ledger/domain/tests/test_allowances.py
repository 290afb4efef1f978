"""Plans and allowances: what an account opens with, what returns each month, and what never piles up."""

from __future__ import annotations

import pytest

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
from services.ledger.domain.tests.book import APP
from services.ledger.domain.tests.plans import FREE, PRO, left, resets, story, until, us
from services.ledger.domain.tests.spec import ANN, Story

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
    until(told, "2026-01-20T00:00:00").when(ResetAllowance()).refused("no_allowance")
    told.said("The app no longer has the plan 'free'.")

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
