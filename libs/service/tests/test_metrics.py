"""The event loop's lag is seen while it happens."""

import asyncio
import time

import pytest
from prometheus_client import REGISTRY, Histogram

from libs.service.metrics import loop_lag_probe, observe_alike

pytestmark = pytest.mark.anyio


def lag(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0


async def test_a_blocked_loop_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("libs.service.metrics.LAG_PROBE_S", 0.02)
    async with loop_lag_probe(), asyncio.timeout(10):
        while lag("event_loop_lag_max_seconds") < 0.2:
            await asyncio.sleep(0.01)
            time.sleep(0.3)  # noqa: ASYNC251 - blocking the loop is what is measured
        while lag("event_loop_lag_seconds") >= 0.2:  # noqa: ASYNC110 - a gauge gives no event to wait for
            await asyncio.sleep(0.01)
        assert lag("event_loop_lag_max_seconds") >= 0.2


async def test_the_probe_ends_with_its_block() -> None:
    async with loop_lag_probe():
        assert "loop-lag" in {task.get_name() for task in asyncio.all_tasks()}
    assert "loop-lag" not in {task.get_name() for task in asyncio.all_tasks()}


def test_many_equal_observations_are_as_many_single_ones() -> None:
    one, many = (Histogram(f"seconds_{name}", "", buckets=(1, 2), registry=None) for name in ("one", "many"))
    for amount, number in ((0.5, 3), (2, 1), (7, 2)):
        for _ in range(number):
            one.observe(amount)
        observe_alike(many, amount, number)

    def told(histogram: Histogram) -> list[tuple[str, dict[str, str], float]]:
        samples = next(iter(histogram.collect())).samples
        return [
            (each.name.rpartition("_")[2], each.labels, each.value) for each in samples if "created" not in each.name
        ]

    assert told(one) == told(many)
