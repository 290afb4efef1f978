"""Prometheus metrics of every process: HTTP requests and the event loop's lag. No app, user or account labels.

Label children are resolved once and kept, because `.labels()` costs more than the increment.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from prometheus_client import Counter, Gauge, Histogram

DURATION_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LAG_PROBE_S = 0.5

HTTP_REQUESTS = Counter("http_requests_total", "HTTP requests answered.", ["method", "route", "status"])
HTTP_DURATION = Histogram(
    "http_request_duration_seconds",
    "Time until the answer to an HTTP request began.",
    ["route"],
    buckets=DURATION_BUCKETS_S,
)
LOOP_LAG = Gauge("event_loop_lag_seconds", "How late the event loop last ran a timer.")
LOOP_LAG_MAX = Gauge("event_loop_lag_max_seconds", "The longest lag of the event loop in the last minute.")

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_WINDOW = round(60 / LAG_PROBE_S)


def observe_alike(histogram: Histogram, amount: float, number: int) -> None:
    """Observe the same amount so many times at once, which :meth:`Histogram.observe` cannot.

    It costs as much as one observation, and a command of many has a fiftieth of a millisecond for all that it takes.
    """
    histogram._sum.inc(amount * number)
    for bound, bucket in zip(histogram._upper_bounds, histogram._buckets, strict=True):
        if amount <= bound:
            bucket.inc(number)
            break


class HttpMetrics:
    """Counts and times requests by route template, never by path."""

    __slots__ = ("_counters", "_durations")

    def __init__(self) -> None:
        self._counters: dict[tuple[str, str, int], Counter] = {}
        self._durations: dict[str, Histogram] = {}

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Record one answered request."""
        key = (method, route, status)
        counter = self._counters.get(key)
        if counter is None:
            # Methods of strangers' invention must not make series without end.
            label = method if method in _METHODS else "other"
            counter = HTTP_REQUESTS.labels(label, route, str(status))
            if label == method:
                self._counters[key] = counter
        counter.inc()
        duration = self._durations.get(route)
        if duration is None:
            duration = self._durations[route] = HTTP_DURATION.labels(route)
        duration.observe(seconds)


@contextlib.asynccontextmanager
async def loop_lag_probe() -> AsyncIterator[None]:
    """Keeps `event_loop_lag_seconds` true while the block runs."""
    task = asyncio.create_task(_probe(), name="loop-lag")
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def _probe() -> None:
    loop = asyncio.get_running_loop()
    recent: list[float] = []
    while True:
        due = loop.time() + LAG_PROBE_S
        await asyncio.sleep(LAG_PROBE_S)
        lag = max(0.0, loop.time() - due)
        recent.append(lag)
        del recent[:-_WINDOW]
        LOOP_LAG.set(lag)
        LOOP_LAG_MAX.set(max(recent))
