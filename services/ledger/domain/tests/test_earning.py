"""Earning rules: once, so often in a period, together in a group, and never more than the caps allow."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from pydantic import ValidationError

from services.ledger.domain.commands import Act
from services.ledger.domain.tests.spec import ANN, Story

DAY_S = 86_400


def story_of(rules: dict[str, Any], caps: Any = (), zone: str = "UTC") -> Story:
    """A story that begins at noon of Wednesday, 14 January 2026 by the zone's clocks."""
    story = Story.of(earning_rules=rules, earning_caps=list(caps), zone=zone)
    story.book.now = round(datetime(2026, 1, 14, 12, tzinfo=ZoneInfo(zone)).timestamp()) * 1_000_000
    return story


def act(action: str = "visit") -> Act:
    return Act(action=action)


def test_a_rule_earns_so_often_a_day_and_says_when_it_earns_again() -> None:
    story = story_of({"visit": {"amount": "5", "times": 2, "period": "day"}}, zone="Asia/Tehran")
    story.given(act(), act()).when(act()).refused("already_earned", next_at="2026-01-14T20:30:00.000000Z")
    story.after(12 * 3600 - 1).when(act()).refused("already_earned")
    story.after(1).given(act(), act()).when(act()).refused("already_earned").shows(settled=20)


def test_a_rule_that_earned_for_ever_says_no_time() -> None:
    story = story_of({"start": {"amount": "5", "times": 3}}).given(*[act("start")] * 3).when(act("start"))
    assert "next_at" not in story.refused("already_earned").last.rejected.extra  # type: ignore[union-attr]


def test_rules_of_a_group_count_together() -> None:
    rule = {"amount": "5", "group": "share", "times": 2, "period": "week"}
    story = story_of({"post": rule, "like": rule}).given(act("post"), act("like"))
    for action in ("post", "like"):
        story.when(act(action)).refused("already_earned", next_at="2026-01-19T00:00:00.000000Z")
    story.after(5 * DAY_S).given(act("like"), act("like"))


def test_rules_of_a_group_agree_on_how_often() -> None:
    with pytest.raises(ValidationError, match="differ in times"):
        story_of({"a": {"amount": "1", "group": "g"}, "b": {"amount": "1", "group": "g", "times": 2}})


def test_a_cap_refuses_what_would_exceed_it_and_names_itself() -> None:
    rules = {"big": {"amount": "60", "times": 9, "period": "day"}, "small": {"amount": "40", "times": 9}}
    story = story_of(rules, [{"amount": "100", "period": "month"}, {"amount": "80", "period": "day"}])
    story.given(act("big")).when(act("small")).refused("earning_cap_reached", cap="day", limit="80", earned="60")
    story.after(DAY_S).given(act("small"))
    story.when(act("small")).refused(
        "earning_cap_reached",
        cap="month",
        limit="100",
        earned="100",
        required="40",
        next_at="2026-02-01T00:00:00.000000Z",
    )
    story.after(17 * DAY_S).given(act("small"), act("small")).shows(settled=180)


def test_a_cap_for_ever() -> None:
    story = story_of({"visit": {"amount": "5", "times": 9}}, [{"amount": "9", "period": "lifetime"}]).given(act())
    story.after(4000 * DAY_S).when(act()).refused("earning_cap_reached", next_at=None)


def test_a_refused_earning_does_not_count() -> None:
    story = story_of({"visit": {"amount": "5", "times": 2, "period": "day"}}, [{"amount": "5", "period": "week"}])
    story.given(act()).when(act()).refused("earning_cap_reached")
    assert story.book.account(ANN).earned_times["visit"].amount == 1


def test_a_rule_that_changes_its_period_goes_by_the_new_one() -> None:
    story = story_of({"visit": {"amount": "5", "period": "month"}}).given(act())
    story.book.config = Story.of(earning_rules={"visit": {"amount": "5", "period": "day"}}).book.config
    story.given(act()).when(act()).refused("already_earned", next_at="2026-01-15T00:00:00.000000Z")
    story.book.config = Story.of(earning_rules={"visit": {"amount": "5", "times": 3}}).book.config
    story.given(act()).when(act()).refused("already_earned").shows(settled=15)


def test_one_cap_for_a_period() -> None:
    with pytest.raises(ValidationError, match="one earning cap"):
        story_of({}, [{"amount": "1", "period": "day"}, {"amount": "2", "period": "day"}])
