"""Budgets: what counts, when it begins anew, what is refused, what is only told."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from services.ledger.domain.budgets import Budget, BudgetPeriod
from services.ledger.domain.commands import (
    CaptureHold,
    ChangeAccount,
    Charge,
    Close,
    CreateHold,
    ExtendHold,
    Grant,
    Labels,
    Refund,
    ReleaseHold,
    Revoke,
    SetBudgets,
    Sweep,
)
from services.ledger.domain.decide.budgets import describe
from services.ledger.domain.tests.spec import ANN, Story

DAY_S = 86_400
UTC = ZoneInfo("UTC")
TOLERANT: Any = {"policies": {"capture_tolerance_percent": 100}}


def budget(limit: int, period: BudgetPeriod = "day", **terms: Any) -> Budget:
    """A budget named by its period unless it says otherwise."""
    return Budget(**{"name": period, "period": period, "limit": limit, **terms})


def with_budgets(*budgets: Budget, zone: str = "UTC", **document: Any) -> Story:
    """A rich account with these budgets, at noon of Wednesday, 14 January 2026 by the zone's clocks."""
    story = Story.of(zone=zone, **document)
    story.book.now = round(datetime(2026, 1, 14, 12, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000
    return story.given(Grant(amount=1000), SetBudgets(budgets=budgets))


def by(member: str | None = None, caller: str | None = None) -> Labels:
    """Labels of a command of this member, by this caller."""
    return Labels(member=member, caller=caller)


def hold(amount: int, **terms: Any) -> CreateHold:
    return CreateHold(**{"amount": amount, "role": "service", "ttl_s": 3600, **terms})


def figures(story: Story, name: str = "day", member: str | None = None) -> tuple[str, str, str]:
    """(used, held, left) of a budget now, as a read shows them."""
    shown: Any = describe(story.book.seen(ANN), story.book.config.zone, story.book.now)
    found = next(each for each in shown if each["name"] == name)
    if member is not None:
        found = next(each for each in found["members"] if each["member"] == member)
    return found["used"], found["held"], found["left"]


def last_events(story: Story) -> list[str]:
    assert story.last is not None
    return [story.told(event)[0] for event in story.last.events]


def test_how_budgets_are_shown() -> None:
    story = with_budgets(budget(100), budget(70, name="key", key="bot", hard=False)).given(Charge(amount=30), hold(5))
    period = {"period_start": "2026-01-14T12:00:00.000000Z", "period_end": "2026-01-15T00:00:00.000000Z"}
    assert describe(story.book.seen(ANN), story.book.config.zone, story.book.now) == [
        {
            "name": "day",
            "member": None,
            "key": None,
            "period": "day",
            "limit": "100",
            "hard": True,
            "used": "35",
            "held": "5",
            "left": "65",
            **period,
        },
        {
            "name": "key",
            "member": None,
            "key": "bot",
            "period": "day",
            "limit": "70",
            "hard": False,
            "used": "0",
            "held": "0",
            "left": "70",
            **period,
        },
    ]


def test_a_hard_budget_refuses_what_would_exceed_it_and_names_itself() -> None:
    story = with_budgets(budget(100)).given(Charge(amount=70))
    story.when(Charge(amount=31)).refused(
        "budget_exceeded",
        budget="day",
        limit="100",
        used="70",
        required="31",
        resets_at="2026-01-15T00:00:00.000000Z",
    )
    story.given(Charge(amount=30)).shows(settled=900)
    assert figures(story) == ("100", "0", "0")


def test_a_period_that_ends_begins_anew() -> None:
    story = with_budgets(budget(100)).given(Charge(amount=100))
    story.after(12 * 3600 - 1).when(Charge(amount=1)).refused("budget_exceeded")
    story.after(1).given(Charge(amount=100)).when(Charge(amount=1)).refused("budget_exceeded")
    assert story.book.account(ANN).budgets is not None
    assert len(story.book.account(ANN).budgets.counts) == 1, "counts of periods that ended are dropped"  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("period", "ends"),
    [("day", "2026-01-15"), ("week", "2026-01-19"), ("month", "2026-02-01")],
)
def test_days_weeks_and_months_end_by_the_zone_of_the_app(period: BudgetPeriod, ends: str) -> None:
    story = with_budgets(budget(10, period), zone="Asia/Tehran")
    local = datetime.fromisoformat(f"{ends}T00:00:00").replace(tzinfo=ZoneInfo("Asia/Tehran"))
    at = local.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000000Z")
    story.when(Charge(amount=11)).refused("budget_exceeded", resets_at=at)


def test_the_accounts_zone_comes_before_the_apps() -> None:
    story = with_budgets(budget(10)).given(ChangeAccount(zone="America/New_York"))
    story.when(Charge(amount=11)).refused("budget_exceeded", resets_at="2026-01-15T05:00:00.000000Z")


def test_a_day_on_which_clocks_change_is_as_long_as_it_is() -> None:
    story = with_budgets(budget(10), zone="Europe/Berlin")
    story.book.now = round(datetime(2026, 3, 29, 1, tzinfo=ZoneInfo("Europe/Berlin")).timestamp()) * 1_000_000
    story.given(Charge(amount=10))
    story.after(22 * 3600 - 1).when(Charge(amount=1)).refused(
        "budget_exceeded", resets_at="2026-03-29T22:00:00.000000Z"
    )
    story.after(1).given(Charge(amount=10))


def test_a_new_zone_does_not_end_a_period_that_has_begun() -> None:
    story = with_budgets(budget(10)).given(Charge(amount=10), ChangeAccount(zone="Pacific/Auckland"))
    story.when(Charge(amount=1)).refused("budget_exceeded", resets_at="2026-01-15T00:00:00.000000Z")
    story.after(12 * 3600).given(Charge(amount=1))
    story.when(Charge(amount=10)).refused("budget_exceeded", used="1", resets_at="2026-01-15T11:00:00.000000Z")


def test_a_lifetime_never_begins_anew() -> None:
    story = with_budgets(budget(10, "lifetime")).given(Charge(amount=10))
    story.after(4000 * DAY_S).when(Charge(amount=1)).refused("budget_exceeded", resets_at=None)


def test_a_member_a_key_and_the_whole_account_are_counted_apart() -> None:
    story = with_budgets(
        budget(100, name="all"), budget(50, name="ann", member="ann"), budget(20, name="bot", key="bot")
    )
    story.given(Charge(amount=50, labels=by("ann")), Charge(amount=20, labels=by(None, "bot")))
    story.when(Charge(amount=1, labels=by("ann", "web"))).refused("budget_exceeded", budget="ann", member="ann")
    story.when(Charge(amount=1, labels=by("ben", "bot"))).refused("budget_exceeded", budget="bot", member=None)
    story.given(Charge(amount=30, labels=by("ben", "web")))
    story.when(Charge(amount=1, labels=by("ben", "web"))).refused("budget_exceeded", budget="all", used="100")


def test_what_one_budget_refuses_counts_for_none() -> None:
    story = with_budgets(budget(100, name="all"), budget(10, name="ann", member="ann"))
    story.when(Charge(amount=11, labels=by("ann"))).refused("budget_exceeded", budget="ann")
    assert figures(story, "all") == ("0", "0", "100")


def test_each_member_has_a_count_of_its_own() -> None:
    story = with_budgets(budget(10, member="*"))
    story.given(Charge(amount=10, labels=by("ann")), Charge(amount=9, labels=by("ben")), Charge(amount=500))
    story.when(Charge(amount=1, labels=by("ann"))).refused("budget_exceeded", budget="day", member="ann")
    assert figures(story, member="ann") == ("10", "0", "0")
    assert figures(story, member="ben") == ("9", "0", "1")


def test_a_budget_of_one_member_takes_the_place_of_that_of_each() -> None:
    story = with_budgets(budget(10, member="*"), budget(50, name="lead", member="ann"))
    story.given(Charge(amount=50, labels=by("ann")))
    story.when(Charge(amount=1, labels=by("ann"))).refused("budget_exceeded", budget="lead")
    story.when(Charge(amount=11, labels=by("ben"))).refused("budget_exceeded", budget="day")


def test_there_is_an_end_to_how_many_members_are_counted() -> None:
    story = with_budgets(budget(10, member="*"), policies={"budget_members_max": 2})
    story.given(Charge(amount=1, labels=by("ann")), Charge(amount=1, labels=by("ben")))
    story.when(Charge(amount=1, labels=by("cy"))).refused("too_many_members", budget="day", limit=2)
    story.said("The budget 'day' counts 2 members in this period; the app allows no more.")
    story.given(Charge(amount=1, labels=by("ann")))
    story.after(DAY_S).given(Charge(amount=1, labels=by("cy")))


def test_an_open_hold_counts_and_gives_back_what_it_does_not_use() -> None:
    story = with_budgets(budget(100)).given(hold(80))
    assert figures(story) == ("80", "80", "20")
    story.when(Charge(amount=21)).refused("budget_exceeded", used="80")
    story.given(CaptureHold(hold="hold#1", amount=30))
    assert figures(story) == ("30", "0", "70")
    story.given(hold(70), ReleaseHold(hold="hold#2"))
    assert figures(story) == ("30", "0", "70")


def test_a_hold_that_is_captured_in_parts_counts_once() -> None:
    story = with_budgets(budget(100)).given(hold(80), CaptureHold(hold="hold#1", amount=30, final=False))
    assert figures(story) == ("80", "50", "20")
    story.given(CaptureHold(hold="hold#1", amount=20, final=False))
    assert figures(story) == ("80", "30", "20")
    story.given(ReleaseHold(hold="hold#1"))
    assert figures(story) == ("50", "0", "50")


def test_a_hold_that_runs_out_gives_back() -> None:
    story = with_budgets(budget(100)).given(hold(80, ttl_s=60)).after(60)
    assert figures(story) == ("0", "0", "100")
    story.given(Charge(amount=100))


def test_a_hold_of_yesterday_gives_nothing_back_today_and_its_capture_counts_today() -> None:
    story = with_budgets(budget(100)).given(hold(80, ttl_s=DAY_S), hold(20, ttl_s=DAY_S)).after(12 * 3600)
    story.given(Charge(amount=60), ReleaseHold(hold="hold#2"))
    assert figures(story) == ("60", "0", "40")
    story.given(CaptureHold(hold="hold#1", amount=30))
    assert figures(story) == ("90", "0", "10")


def test_a_capture_is_never_refused_by_a_budget_but_told() -> None:
    story = with_budgets(budget(100), **TOLERANT).given(hold(100)).when(CaptureHold(hold="hold#1", amount=150))
    assert last_events(story) == ["hold_captured", "budget_exceeded"]
    assert figures(story) == ("150", "0", "0")
    story.when(Charge(amount=1)).refused("budget_exceeded", used="150")


def test_the_budgets_of_a_capture_are_those_of_its_hold_whoever_captures() -> None:
    story = with_budgets(budget(100, name="bot", key="bot"), budget(100, name="ann", member="ann"))
    story.given(hold(50, labels=by("ann", "bot")), CaptureHold(hold="hold#1", amount=20, labels=by(None, "settler")))
    assert figures(story, "bot") == figures(story, "ann") == ("20", "0", "80")


def test_a_hold_that_is_used_up_still_counts_at_its_key() -> None:
    story = with_budgets(budget(100, name="bot", key="bot"), **TOLERANT).given(hold(50, labels=by(None, "bot")))
    story.given(CaptureHold(hold="hold#1", amount=50, final=False), CaptureHold(hold="hold#1", amount=20))
    assert figures(story, "bot") == ("70", "0", "30")


def test_what_a_hold_is_extended_by_counts_where_the_hold_does() -> None:
    story = with_budgets(budget(100, name="bot", key="bot"), budget(90, name="ann", member="ann"))
    story.given(hold(50, labels=by("ann", "bot")))
    story.when(ExtendHold(hold="hold#1", amount=41, labels=by(None, "web"))).refused("budget_exceeded", budget="ann")
    story.given(ExtendHold(hold="hold#1", amount=30, labels=by(None, "web")))
    assert figures(story, "bot") == ("80", "80", "20")
    story.when(ExtendHold(hold="hold#1", amount=30, partial=True)).answered(added="10")
    story.given(CaptureHold(hold="hold#1", amount=60, final=False))
    assert figures(story, "ann") == ("90", "30", "0")
    story.given(ReleaseHold(hold="hold#1"))
    assert figures(story, "ann") == ("60", "0", "30")


def test_a_hold_extended_on_another_day_gives_back_what_it_reserved_on_that_day() -> None:
    story = with_budgets(budget(100)).given(hold(60, ttl_s=DAY_S)).after(12 * 3600)
    story.given(ExtendHold(hold="hold#1", amount=20))
    assert figures(story) == ("20", "20", "80")
    story.given(CaptureHold(hold="hold#1", amount=70, final=False))
    assert figures(story) == ("80", "10", "20")
    story.given(ReleaseHold(hold="hold#1"))
    assert figures(story) == ("70", "0", "30")


def test_what_costs_nothing_is_not_refused_by_a_budget_that_is_exceeded() -> None:
    story = with_budgets(budget(10), **TOLERANT).given(hold(10), CaptureHold(hold="hold#1", amount=20))
    story.given(Charge(amount=0)).when(Charge(amount=1)).refused("budget_exceeded", used="20")


def test_a_hold_revoked_with_its_grant_gives_back() -> None:
    story = with_budgets(budget(100)).given(hold(80), Revoke(grant="grant#1", hold="hold#1"))
    assert figures(story) == ("0", "0", "100")


def test_a_partial_hold_takes_what_every_budget_and_the_balance_allow() -> None:
    story = with_budgets(budget(100), budget(40, name="ann", member="ann"))
    story.when(hold(90, partial=True, labels=by("ann"))).answered(amount="40")
    story.when(hold(90, partial=True)).answered(amount="60")
    story.when(hold(90, partial=True)).refused("budget_exceeded", required="1")


def test_a_refund_gives_back_within_the_period_only() -> None:
    story = with_budgets(budget(100)).given(Charge(amount=80), Refund(charge="charge#1", amount=30))
    assert figures(story) == ("50", "0", "50")
    story.after(DAY_S).given(Charge(amount=10), Refund(charge="charge#1", amount=50))
    assert figures(story) == ("10", "0", "90")


def test_a_refund_of_a_capture_gives_back() -> None:
    story = with_budgets(budget(100)).given(hold(80), CaptureHold(hold="hold#1", amount=60))
    story.given(Refund(charge="charge#1"))
    assert figures(story) == ("0", "0", "100")


def test_a_soft_budget_tells_once_a_period_as_it_is_crossed() -> None:
    story = with_budgets(budget(100, hard=False)).when(Charge(amount=100))
    assert last_events(story) == ["credits_charged"]
    assert last_events(story.when(Charge(amount=1))) == ["credits_charged", "budget_exceeded"]
    assert last_events(story.when(Charge(amount=1))) == ["credits_charged"]
    story.given(Refund(charge="charge#1")).when(Charge(amount=100))
    assert last_events(story) == ["credits_charged"]
    assert last_events(story.after(DAY_S).when(hold(101))) == ["hold_created", "budget_exceeded"]


def test_what_a_soft_budget_tells() -> None:
    story = with_budgets(budget(10, hard=False, member="*")).when(Charge(amount=11, labels=by("ann")))
    assert story.last is not None
    assert story.told(story.last.events[-1]) == (
        "budget_exceeded",
        {
            "budget": "day",
            "member": "ann",
            "limit": "10",
            "used": "11",
            "hard": False,
            "period": "day",
            "period_start": "2026-01-14T12:00:00.000000Z",
            "period_end": "2026-01-15T00:00:00.000000Z",
        },
    )


def test_a_higher_limit_goes_on_counting_and_tells_again() -> None:
    story = with_budgets(budget(10, hard=False)).given(Charge(amount=11), SetBudgets(budgets=(budget(20, hard=False),)))
    assert figures(story) == ("11", "0", "9")
    assert last_events(story.when(Charge(amount=9))) == ["credits_charged"]
    assert last_events(story.when(Charge(amount=1))) == ["credits_charged", "budget_exceeded"]
    story.given(SetBudgets(budgets=(budget(15, hard=False),)))
    assert last_events(story.when(Charge(amount=1))) == ["credits_charged"]


def test_a_budget_that_counts_something_else_begins_at_nothing() -> None:
    story = with_budgets(budget(100, name="b"), budget(100, name="c")).given(Charge(amount=60), hold(10))
    story.given(SetBudgets(budgets=(budget(100, "week", name="b"), budget(100, name="c"))))
    assert figures(story, "b") == ("0", "0", "100")
    assert figures(story, "c") == ("70", "10", "30")
    story.given(Refund(charge="charge#1"), ReleaseHold(hold="hold#1"))
    assert figures(story, "b") == ("0", "0", "100")
    assert figures(story, "c") == ("0", "0", "100")


def test_counting_begins_when_a_budget_is_set() -> None:
    story = Story().given(Grant(amount=1000), Charge(amount=80), hold(20), SetBudgets(budgets=(budget(100),)))
    assert figures(story) == ("0", "0", "100")
    story.given(ReleaseHold(hold="hold#1"), Refund(charge="charge#1"), Charge(amount=100))


def test_what_budgets_were_is_not_written_again() -> None:
    story = with_budgets(budget(100)).when(SetBudgets(budgets=(budget(100),))).then()
    story.given(SetBudgets(budgets=())).when(SetBudgets(budgets=())).then()
    assert story.book.account(ANN).budgets is None


def test_budgets_open_an_account_and_a_closed_one_takes_none() -> None:
    story = Story().given(SetBudgets(budgets=(budget(10),))).shows(settled=0)
    story.given(Close()).when(SetBudgets(budgets=())).refused("account_closed")


def test_there_is_an_end_to_how_many_budgets_an_account_has() -> None:
    story = Story.of(policies={"budgets_max": 1})
    two = (budget(1, name="a"), budget(1, name="b"))
    story.when(SetBudgets(budgets=two)).refused("too_many_budgets", limit=1, budgets=2)


def test_want_of_credits_is_told_before_a_budget() -> None:
    with_budgets(budget(10)).when(Charge(amount=1001)).refused("insufficient_credits")


def test_what_is_due_gives_back_before_a_charge_is_decided() -> None:
    story = with_budgets(budget(100)).given(hold(100, ttl_s=60)).after(60).given(Charge(amount=100))
    story.given(Sweep())
    assert figures(story) == ("100", "0", "0")
