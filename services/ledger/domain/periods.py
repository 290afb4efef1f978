"""Calendar arithmetic: which day, week or month a moment lies in, by the clocks of a time zone.

Times are microseconds since the epoch, always whole seconds at the edges of periods. A period is `[start, end)`, and
periods of one kind tile time: the end of each is the start of the next. An edge is a local time. Where clocks are put
forward over it, it is the first instant after the gap; where they are put back over it, the first of the two.
"""

from __future__ import annotations

from calendar import monthrange
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from typing import Literal
from zoneinfo import ZoneInfo

Kind = Literal["day", "week", "month"]
SECOND_US = 1_000_000
_MIDNIGHT = time()


def _local(time_us: int, zone: ZoneInfo) -> datetime:
    return datetime.fromtimestamp(time_us // SECOND_US, zone)


def _instant(day: date, at: time, zone: ZoneInfo) -> int:
    """When clocks first show that local time or, where they skip it, when they jump over it."""
    wall = datetime.combine(day, at, zone)
    before, after = wall.utcoffset(), wall.replace(fold=1).utcoffset()
    if before is None or after is None:
        raise TypeError("a time zone always has an offset")
    seconds = round((wall - before).replace(tzinfo=UTC).timestamp())
    if after > before:
        # Skipped (PEP 495: in a gap the offset of fold 0 is that before it). The jump lies between these two.
        return _jump(seconds - round((after - before).total_seconds()), seconds, zone) * SECOND_US
    return seconds * SECOND_US


def _jump(low: int, high: int, zone: ZoneInfo) -> int:
    """The second at which the offset changes, within (low, high]."""
    offset = datetime.fromtimestamp(low, zone).utcoffset()
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == offset:
            low = middle
        else:
            high = middle
    return high


def _month_later(year: int, month: int, months: int) -> tuple[int, int]:
    count = year * 12 + month - 1 + months
    return count // 12, count % 12 + 1


def period_of(kind: Kind, zone: ZoneInfo, at_us: int) -> tuple[int, int]:
    """(start, end) of the day, the week (from Monday on, ISO 8601) or the month that a moment lies in."""
    day = _local(at_us, zone).date()
    # Where clocks are put back over midnight, local dates do not grow with time: the neighbour may be the right one.
    for offset in (0, -1, 1):
        start, end = _edges(kind, zone, day, offset)
        if start <= at_us < end:
            return start, end
    raise ValueError(f"{at_us} is in no {kind} of {zone}")


@lru_cache(maxsize=4096)
def _edges(kind: Kind, zone: ZoneInfo, day: date, offset: int) -> tuple[int, int]:
    """(start, end) of the period `offset` periods after the one of a date."""
    if kind == "month":
        first = (date(*_month_later(day.year, day.month, offset + n), 1) for n in (0, 1))
        start, end = (_instant(each, _MIDNIGHT, zone) for each in first)
        return start, end
    days = 1 if kind == "day" else 7
    monday = day if kind == "day" else day - timedelta(days=day.weekday())
    start_day = monday + timedelta(days=days * offset)
    return _instant(start_day, _MIDNIGHT, zone), _instant(start_day + timedelta(days=days), _MIDNIGHT, zone)


def anniversary_period(anchor_us: int, zone: ZoneInfo, at_us: int) -> tuple[int, int]:
    """(start, end) of the month since the anchor's day and time of day that a moment lies in.

    Months are counted from the anchor, so that one of the 31st ends with each shorter month and comes back to the
    31st. Moments before the anchor lie in months counted backwards.
    """
    anchor = _local(anchor_us, zone)
    local = _local(at_us, zone)
    months = (local.year - anchor.year) * 12 + local.month - anchor.month
    for offset in (0, -1, 1):
        start = _anniversary(anchor, zone, months + offset)
        end = _anniversary(anchor, zone, months + offset + 1)
        if start <= at_us < end:
            return start, end
    raise ValueError(f"{at_us} is in no month of {zone} since {anchor_us}")


def _anniversary(anchor: datetime, zone: ZoneInfo, months: int) -> int:
    year, month = _month_later(anchor.year, anchor.month, months)
    day = min(anchor.day, monthrange(year, month)[1])
    return _instant(date(year, month, day), anchor.time().replace(fold=0), zone)
