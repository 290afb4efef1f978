"""The calendar of a run: virtual seconds, and quiet days that are leapt over to shortly before a month begins."""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from libs.service.clock import from_datetime, to_datetime
from tests.sim.loop import Loop

START = datetime(2026, 1, 31, 22, 59, 57, tzinfo=UTC)
"""Three seconds before February begins in Berlin: in most runs, before anybody has an account."""
START_US = from_datetime(START)


class Calendar:
    """What every right wall clock shows."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._leapt_us = 0

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        return START_US + round(self._loop.time() * 1_000_000) + self._leapt_us

    def now(self) -> datetime:
        """The same as a time."""
        return to_datetime(self.now_us())

    def leap(self, months: int, before: timedelta, zone: ZoneInfo) -> None:
        """Nobody does anything until shortly `before` the beginning of a month, the first one for 1."""
        now = self.now()
        month = month_start(now, zone)
        for _ in range(months):
            month = next_month(month, zone)
        self._leapt_us += max(0, from_datetime(month - before) - from_datetime(now))


def month_start(moment: datetime, zone: ZoneInfo) -> datetime:
    """When the month began that a moment lies in. No month begins where clocks are put forward."""
    local = moment.astimezone(zone)
    return datetime(local.year, local.month, 1, tzinfo=zone).astimezone(UTC)


def next_month(start: datetime, zone: ZoneInfo) -> datetime:
    """The beginning of the month after one."""
    return month_start(start + timedelta(days=40), zone)


def month_of_anchor(anchor: datetime, zone: ZoneInfo, number: int) -> datetime:
    """When a month begins that counts from an anchor: number 0 there, on its day and at its time or at the latest."""
    local = anchor.astimezone(zone)
    year, month = divmod(local.year * 12 + local.month - 1 + number, 12)
    day = min(local.day, monthrange(year, month + 1)[1])
    return local.replace(year=year, month=month + 1, day=day, microsecond=0).astimezone(UTC)
