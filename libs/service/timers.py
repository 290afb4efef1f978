"""Durable timers: what is due lies in the database under an index on its due time; its owner polls and acts on it.

Nothing is lost when a process dies, because nothing but a poll makes a timer fire. What `fire` does must be harmless to
repeat (a command with a key made from the timer), since a crash may come between the act and the record of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Generic, Self, TypeVar

from prometheus_client import Counter, Gauge

from libs.service.clock import SECOND_US, Clock

T = TypeVar("T")
logger = logging.getLogger(__name__)

FIRED = Counter("timers_fired_total", "Timers that fired.", ["timer"])
FAILURES = Counter("timer_failures_total", "Polls and firings that failed; they are tried again.", ["timer"])
LAG = Gauge("timer_lag_seconds", "How late the latest timer of the last poll was.", ["timer"])

CHUNK = 100
INTERVAL_S = 1.0
BACKOFF_S_MIN = 0.2
BACKOFF_S_MAX = 30.0
STOP_S = 10.0


class Poller(Generic[T]):
    """Polls `due(now_us, limit)`, which answers the earliest due first, and calls `fire` for each, one after another.

    A full chunk is followed by the next poll at once, so that a backlog is worked off in chunks between which others
    get their turn; otherwise it waits `interval_s` or until :meth:`poke`. An item that fails does not keep those after
    it from firing; it stays due, and the next poll comes after a growing pause. Use it as an async context manager.
    """

    def __init__(
        self,
        name: str,
        due: Callable[[int, int], Awaitable[Sequence[T]]],
        fire: Callable[[T], Awaitable[None]],
        *,
        clock: Clock,
        due_at_us: Callable[[T], int],
        chunk: int = CHUNK,
        interval_s: float = INTERVAL_S,
        backoff_s_min: float = BACKOFF_S_MIN,
    ) -> None:
        self._name = name
        self._due = due
        self._fire = fire
        self._clock = clock
        self._due_at_us = due_at_us
        self._chunk = chunk
        self._interval_s = interval_s
        self._backoff_s_min = backoff_s_min
        self._failures_in_row = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._task: asyncio.Task[None] | None = None
        self._fired = FIRED.labels(name)
        self._failures = FAILURES.labels(name)
        self._lag = LAG.labels(name)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run(), name=f"timer-{self._name}")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    def poke(self) -> None:
        """Say that something may be due now, such as after a test clock was put forward."""
        self._wake.set()

    async def stop(self) -> None:
        """End after the firing under way; one that takes longer than `STOP_S` seconds is cancelled."""
        task, self._task = self._task, None
        if task is None:
            return
        self._stopping = True
        self._wake.set()
        done, _ = await asyncio.wait({task}, timeout=STOP_S)
        if not done:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def poll(self) -> bool:
        """One poll; whether there may be more due right away."""
        now_us = self._clock.now_us()
        items = await self._due(now_us, self._chunk)
        late_us = max((now_us - self._due_at_us(item) for item in items), default=0)
        self._lag.set(max(0, late_us) / SECOND_US)
        failed = False
        for item in items:
            if self._stopping:
                return False
            try:
                await self._fire(item)
            except Exception:
                failed = True
                self._failures.inc()
                logger.exception("a timer failed", extra={"timer": self._name})
            else:
                self._fired.inc()
        self._failures_in_row = self._failures_in_row + 1 if failed else 0
        return len(items) >= self._chunk and not failed

    async def _run(self) -> None:
        while not self._stopping:
            # Cleared before the poll, so that a poke during it leads to another one.
            self._wake.clear()
            try:
                more = await self.poll()
            except Exception:
                more = False
                self._failures_in_row += 1
                self._failures.inc()
                logger.exception("a poll for timers failed", extra={"timer": self._name})
            if more:
                await asyncio.sleep(0)
            elif self._failures_in_row:
                await self._pause(self._backoff_s())
            else:
                await self._pause(self._interval_s)

    def _backoff_s(self) -> float:
        longest = min(BACKOFF_S_MAX, self._backoff_s_min * 2.0 ** min(self._failures_in_row - 1, 16))
        # Spread, so that pollers that failed together do not come back together.
        return longest * random.uniform(0.5, 1.0)  # noqa: S311

    async def _pause(self, seconds: float) -> None:
        if not self._stopping:
            # Not `wait_for`: on Python 3.11 it can swallow a cancellation that comes with the wake-up.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(seconds):
                    await self._wake.wait()
