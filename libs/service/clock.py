"""Time: whole microseconds since the epoch inside, aware `datetime` at SQL, RFC 3339 text with `Z` in JSON.

An app in test mode has a clock of its own, which stands still until it is put forward; everything else goes by the
system's clock. Key retention, leases, tokens and retries always use the real clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from libs.service.problems import FeatureDisabled, Problem

if TYPE_CHECKING:
    from libs.service.db import Pool

SECOND_US = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock(Protocol):
    """Where time comes from, so that a test or the simulation can bring its own."""

    def now_us(self) -> int:
        """Microseconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clocks."""

    __slots__ = ()

    def now_us(self) -> int:
        """Microseconds since the epoch, by the system's clock."""
        return time.time_ns() // 1000

    def monotonic(self) -> float:
        """Seconds of the system's monotonic clock."""
        return time.monotonic()


class ManualClock:
    """A clock for tests that moves only when told; both of its times move together."""

    def __init__(self, start_us: int = 1_767_225_600_000_000) -> None:
        self._now_us = start_us
        self._monotonic = 0.0

    def now_us(self) -> int:
        """Microseconds since the epoch, as last set."""
        return self._now_us

    def monotonic(self) -> float:
        """Seconds advanced so far."""
        return self._monotonic

    def advance(self, seconds: float) -> None:
        """Move both times forward by `seconds`."""
        self._now_us += round(seconds * SECOND_US)
        self._monotonic += seconds

    def set(self, now_us: int) -> None:
        """Set the wall time alone, forward or back, as a wrong clock would."""
        self._now_us = now_us


def to_datetime(time_us: int) -> datetime:
    """The aware UTC `datetime` of `time_us`, exactly."""
    return _EPOCH + timedelta(microseconds=time_us)


def from_datetime(moment: datetime) -> int:
    """Microseconds since the epoch of an aware `datetime`; `ValueError` for a naive one."""
    if moment.tzinfo is None:
        raise ValueError("a time without a zone")
    return (moment - _EPOCH) // _MICROSECOND


def format_time(time_us: int) -> str:
    """RFC 3339 with `Z`; microseconds are written only when there are any."""
    return to_datetime(time_us).isoformat().removesuffix("+00:00") + "Z"


def parse_time(text: str) -> int:
    """Microseconds since the epoch of an RFC 3339 time with a zone; `ValueError` for anything else."""
    if len(text) < 20 or text[10] not in "Tt ":
        raise ValueError("not an RFC 3339 time")
    return from_datetime(datetime.fromisoformat(text.upper()))


class ClockBackwards(Problem):
    """A test clock was to be set before its present time."""

    status = 409
    code = "clock_backwards"
    title = "A test clock goes forward only"
    next = "Read the present time with GET /v1/test-clock and send a later one."


class TestClocks:
    """The clocks of the apps in test mode, shared by all processes of a service through table `test_clocks`.

    `clock_start(app)` says when the app's clock starts (microseconds), or None when the app is not in test mode.
    """

    __test__ = False  # The name is the product's; pytest need not collect it.

    def __init__(
        self, pool: Pool, clock_start: Callable[[str], int | None], clock: Clock, on_advance: Callable[[str], None]
    ) -> None:
        self._pool = pool
        self._clock_start = clock_start
        self._clock = clock
        self._on_advance = on_advance
        self._now: dict[str, int] = {}

    async def load(self) -> None:
        """Read the stored clocks: at start, and again wherever another process may have set one."""
        rows = await self._pool.fetch("SELECT app, now FROM test_clocks")
        for row in rows:
            app, now_us = row["app"], from_datetime(row["now"])
            if now_us > self._now.get(app, 0):
                self._now[app] = now_us
                self._on_advance(app)

    def in_test_mode(self, app: str) -> bool:
        """Whether `app` has a clock of its own."""
        return self._clock_start(app) is not None

    def now_us(self, app: str) -> int:
        """The time by which `app` lives, microseconds since the epoch."""
        start = self._clock_start(app)
        if start is None:
            return self._clock.now_us()
        return max(start, self._now.get(app, start))

    async def advance(self, app: str, now_us: int) -> int:
        """Put the clock of `app` forward to `now_us` and answer it.

        :class:`FeatureDisabled` outside test mode, :class:`ClockBackwards` for an earlier time; the same time again
        changes nothing.
        """
        if not self.in_test_mode(app):
            raise FeatureDisabled("test_mode")
        if now_us < self.now_us(app):
            raise ClockBackwards(f"The clock of {app} stands at {format_time(self.now_us(app))}.")
        stored = await self._pool.fetchval(
            "INSERT INTO test_clocks (app, now) VALUES ($1, $2)"
            " ON CONFLICT (app) DO UPDATE SET now = EXCLUDED.now WHERE test_clocks.now <= EXCLUDED.now RETURNING now",
            app,
            to_datetime(now_us),
        )
        if stored is None:
            await self.load()
            raise ClockBackwards(f"The clock of {app} stands at {format_time(self.now_us(app))}.")
        self._now[app] = now_us
        self._on_advance(app)
        return now_us


class LateClocks(TestClocks):
    """Test clocks whose database is opened after the application, with their routes, has been made."""

    def __init__(self) -> None:
        """Of no use before :meth:`open`."""

    def open(
        self, pool: Pool, clock_start: Callable[[str], int | None], clock: Clock, on_advance: Callable[[str], None]
    ) -> None:
        """What `TestClocks` is made of."""
        super().__init__(pool, clock_start, clock, on_advance)
