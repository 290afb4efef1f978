"""Days, weeks, months and anniversaries by the clocks of time zones, at the places where clocks jump."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain.periods import SECOND_US, Kind, anniversary_period, period_of

ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",  # clocks were put forward at midnight, over it
    "America/St_Johns",  # clocks were put back at 00:01, over midnight
    "Africa/Cairo",  # clocks are put forward at midnight
    "Asia/Kathmandu",  # 05:45 ahead
    "Australia/Lord_Howe",  # clocks are put forward by half an hour
    "Pacific/Apia",  # left out the whole of 2011-12-30
    "Pacific/Kiritimati",  # left out the whole of 1994-12-31
]
LEFT_OUT_A_DAY = ("Pacific/Apia", "Pacific/Kiritimati")
zones = st.sampled_from(ZONES).map(ZoneInfo)
kinds = st.sampled_from(["day", "week", "month"])
moments = st.datetimes(datetime(1971, 1, 1), datetime(2060, 1, 1)).map(lambda t: us(t.replace(tzinfo=UTC)))  # noqa: DTZ001


def us(moment: datetime) -> int:
    """Microseconds since the epoch."""
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def utc(text: str) -> int:
    """Microseconds since the epoch of a time in UTC."""
    return us(datetime.fromisoformat(text).replace(tzinfo=UTC))


def shown(time_us: int, zone: str) -> str:
    """What clocks of the zone show."""
    return datetime.fromtimestamp(time_us // SECOND_US, ZoneInfo(zone)).isoformat()


@pytest.mark.parametrize(
    ("kind", "zone", "at", "start", "end"),
    [
        ("day", "UTC", "2026-03-01T12:00", "2026-03-01T00:00:00+00:00", "2026-03-02T00:00:00+00:00"),
        ("week", "UTC", "2026-03-01T12:00", "2026-02-23T00:00:00+00:00", "2026-03-02T00:00:00+00:00"),
        ("week", "UTC", "2026-03-02T00:00", "2026-03-02T00:00:00+00:00", "2026-03-09T00:00:00+00:00"),
        ("month", "UTC", "2026-12-31T23:59:59.999999", "2026-12-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"),
        ("month", "UTC", "2024-02-29T12:00", "2024-02-01T00:00:00+00:00", "2024-03-01T00:00:00+00:00"),
        ("month", "UTC", "2100-02-28T12:00", "2100-02-01T00:00:00+00:00", "2100-03-01T00:00:00+00:00"),
        ("month", "Asia/Kathmandu", "2026-01-31T18:15", "2026-02-01T00:00:00+05:45", "2026-03-01T00:00:00+05:45"),
        ("month", "Asia/Kathmandu", "2026-01-31T18:14:59", "2026-01-01T00:00:00+05:45", "2026-02-01T00:00:00+05:45"),
        ("month", "Pacific/Kiritimati", "2026-01-31T10:00", "2026-02-01T00:00:00+14:00", "2026-03-01T00:00:00+14:00"),
        # Days of 23 and of 25 hours.
        ("day", "Europe/Berlin", "2026-03-29T12:00", "2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00"),
        ("day", "Europe/Berlin", "2026-10-25T12:00", "2026-10-25T00:00:00+02:00", "2026-10-26T00:00:00+01:00"),
        # There was no midnight: the day began at one o'clock.
        ("day", "America/Sao_Paulo", "2018-11-04T12:00", "2018-11-04T01:00:00-02:00", "2018-11-05T00:00:00-02:00"),
        ("day", "Africa/Cairo", "2025-04-25T12:00", "2025-04-25T01:00:00+03:00", "2025-04-26T00:00:00+03:00"),
        # The hour before midnight came twice.
        ("day", "America/Sao_Paulo", "2019-02-17T02:30", "2019-02-16T00:00:00-02:00", "2019-02-17T00:00:00-03:00"),
        ("day", "Africa/Cairo", "2025-10-30T21:30", "2025-10-30T00:00:00+03:00", "2025-10-31T00:00:00+02:00"),
        # Midnight came twice, at 00:00 and an hour after that: the first one counts.
        ("day", "America/St_Johns", "2010-11-07T02:30", "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30"),
        ("day", "America/St_Johns", "2010-11-07T03:00", "2010-11-07T00:00:00-02:30", "2010-11-08T00:00:00-03:30"),
        # A day that never was.
        ("day", "Pacific/Apia", "2011-12-30T09:59", "2011-12-29T00:00:00-10:00", "2011-12-31T00:00:00+14:00"),
        ("day", "Pacific/Apia", "2011-12-30T10:00", "2011-12-31T00:00:00+14:00", "2012-01-01T00:00:00+14:00"),
    ],
)
def test_the_period_of_a_moment(kind: Kind, zone: str, at: str, start: str, end: str) -> None:
    found = period_of(kind, ZoneInfo(zone), utc(at))

    assert tuple(shown(edge, zone) for edge in found) == (start, end)


def starts(anchor: str, zone: str, months: int) -> list[str]:
    """Where the first months since an anchor begin, and the next one after them."""
    edges, at = [], utc(anchor)
    for _ in range(months):
        start, at = anniversary_period(utc(anchor), ZoneInfo(zone), at)
        edges.append(start)
    return [shown(edge, zone) for edge in (*edges, at)]


def test_an_anniversary_on_the_31st_ends_with_shorter_months_and_does_not_drift() -> None:
    days = [start[:10] for start in starts("2023-12-31T10:30", "UTC", 5)]

    assert days == ["2023-12-31", "2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"]
    assert [start[:10] for start in starts("2026-01-31T00:00", "UTC", 2)] == ["2026-01-31", "2026-02-28", "2026-03-31"]


def test_an_anniversary_on_the_29th_of_february() -> None:
    days = [start[:10] for start in starts("2024-02-29T00:00", "UTC", 13)]

    assert days[1] == "2024-03-29"
    assert days[12:] == ["2025-02-28", "2025-03-29"]


def test_an_anniversary_keeps_its_local_time_whatever_clocks_do() -> None:
    # 02:30 on the 29th of March 2026 does not exist in Berlin; 02:30 on the 25th of October 2026 comes twice.
    assert starts("2026-02-28T23:30", "UTC", 1)[1].endswith("T23:30:00+00:00")
    assert starts("2026-01-29T01:30", "Europe/Berlin", 3) == [
        "2026-01-29T02:30:00+01:00",
        "2026-02-28T02:30:00+01:00",
        "2026-03-29T03:00:00+02:00",
        "2026-04-29T02:30:00+02:00",
    ]
    assert starts("2026-09-25T00:30", "Europe/Berlin", 2) == [
        "2026-09-25T02:30:00+02:00",
        "2026-10-25T02:30:00+02:00",
        "2026-11-25T02:30:00+01:00",
    ]


def test_what_was_before_the_anchor_lies_in_months_counted_backwards() -> None:
    found = anniversary_period(utc("2026-03-31T10:00"), ZoneInfo("UTC"), utc("2026-03-31T09:59:59.999999"))

    assert found == (utc("2026-02-28T10:00"), utc("2026-03-31T10:00"))


@given(kinds, zones, moments)
def test_periods_tile_time(kind: Kind, zone: ZoneInfo, at: int) -> None:
    start, end = period_of(kind, zone, at)

    assert start <= at < end
    assert period_of(kind, zone, start) == (start, end) == period_of(kind, zone, end - 1)
    assert period_of(kind, zone, end)[0] == end
    assert period_of(kind, zone, start - 1)[1] == start


@given(zones, moments, moments)
def test_anniversaries_tile_time(zone: ZoneInfo, anchor: int, at: int) -> None:
    start, end = anniversary_period(anchor, zone, at)

    assert start <= at < end
    assert anniversary_period(anchor, zone, start) == (start, end) == anniversary_period(anchor, zone, end - 1)
    assert anniversary_period(anchor, zone, end)[0] == end
    assert anniversary_period(anchor, zone, start - 1)[1] == start


@given(zones, moments)
def test_an_anniversary_comes_once_in_every_month(zone: ZoneInfo, anchor: int) -> None:
    day = datetime.fromtimestamp(anchor // SECOND_US, zone).day
    edges, at = [], anchor
    for _ in range(49):
        edges.append(datetime.fromtimestamp(at // SECOND_US, zone))
        at = anniversary_period(anchor, zone, at)[1]

    for one, other in pairwise(edges[1:]):
        months = (other.year - one.year) * 12 + other.month - one.month
        # Only a day that never was can push an edge into the next day, and so into the next month.
        assert months == 1 or zone.key in LEFT_OUT_A_DAY
        assert other.day == day or other.day >= 28 or zone.key in LEFT_OUT_A_DAY


@given(zones, moments)
def test_the_anniversary_of_a_month_s_first_midnight_is_the_month(zone: ZoneInfo, at: int) -> None:
    start, end = period_of("month", zone, at)
    first = datetime.fromtimestamp(start // SECOND_US, zone)
    if (first.day, first.hour) == (1, 0):
        assert anniversary_period(start, zone, at) == (start, end)
