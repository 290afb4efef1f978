"""The figures of a soak are what they say, and a short soak runs to its end."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.load import Entry
from tests.soak.figures import WARM_S, Fault, Sample, drift, slope_mb_h
from tests.soak.run import soak

MB = 1 << 20


def test_memory_grows_by_its_slope_within_lives_and_not_by_restarts() -> None:
    """A process that grows by 6 MB/h, begins each life elsewhere, and jumps while it is warming up."""
    samples = [
        Sample(life, age, int((100 + 50 * life + (30 if age < WARM_S else 0) + 6 * age / 3600) * MB))
        for life in range(3)
        for age in range(600)
    ]
    slope = slope_mb_h(samples)
    assert slope["mb_per_hour"] == pytest.approx(6, abs=0.05)
    assert slope["lives"] == 3
    assert slope["over_s"] == 3 * (599 - WARM_S)
    assert slope_mb_h([])["mb_per_hour"] == 0


def test_latency_drifts_from_the_first_third_to_the_last_without_the_faults() -> None:
    """10 ms at first, 20 ms in the end, and a second for whatever was sent while something was broken."""

    def entry(sent: float, latency_s: float) -> Entry:
        return Entry("http", "grant", "grants", {}, "key", sent=sent, answered=sent + latency_s, status=201)

    faults = [Fault("something", 10.0, 12.0), Fault("something", 280.0, 281.0)]
    entries = [entry(at, 0.010 if at < 150 else 0.020) for at in range(300)]
    entries += [entry(at, 1.0) for at in (8.0, 11.0, 14.0, 283.5)]
    found = drift(entries, faults, 0.0, 300.0)
    assert found["first"] == {"count": 91, "p50_ms": 10.0, "p99_ms": 10.0, "max_ms": 10.0}
    assert (found["last"]["p50_ms"], found["last"]["p99_ms"]) == (20.0, 20.0)


@pytest.mark.campaign
@pytest.mark.anyio
@pytest.mark.timeout(600)
async def test_a_minute_of_everything(tmp_path: Path) -> None:
    """Faults every few seconds for a minute: nothing is lost, nothing happens twice, and all of it is told."""
    report = await soak(tmp_path, 60.0, rate=30.0, every_s=4.0)
    assert report["violations"] == []
    assert len(report["faults"]) > 3
    assert report["commands"] == report["succeeded"] + report["refused"] > 500
    assert report["events"] == report["heard"]
    assert set(report["memory"]) == {"serve-0", "relay-a", "consumer"}
