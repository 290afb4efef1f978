"""Stories of accounts with plans, and what the tests of plans ask of them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from services.ledger.domain import events as ev
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
