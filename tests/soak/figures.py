"""What a soak is read by: how memory grows within the lives of a process, and how latency drifts apart from faults."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from tests.chaos.load import Entry
from tests.reliability import spread

WARM_S = 20.0
"""The beginning of each life, whose growth is the filling of caches and pools."""
AFTER_S = 3.0
"""How long after a recovery latencies still count as those of the fault."""
_MB = 1 << 20


@dataclass(frozen=True, slots=True)
class Sample:
    """Resident memory of one life of a process; `age_s` since that began."""

    life: int
    age_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that was done to the cluster, from `began` until work went on; seconds of the monotonic clock."""

    kind: str
    began: float
    recovered: float


def slope_mb_h(samples: Sequence[Sample]) -> dict[str, float]:
    """The growth of memory in MB/h by one linear fit over all lives, each about its own mean; how many seconds, too.

    The first :data:`WARM_S` of each life are left out. The slope is 0 where nothing is left.
    """
    lives: dict[int, list[Sample]] = defaultdict(list)
    for sample in samples:
        if sample.age_s >= WARM_S:
            lives[sample.life].append(sample)
    covariance = variance = seconds = 0.0
    for life in lives.values():
        mean_s = sum(sample.age_s for sample in life) / len(life)
        mean = sum(sample.memory_bytes for sample in life) / len(life)
        covariance += sum((sample.age_s - mean_s) * (sample.memory_bytes - mean) for sample in life)
        variance += sum((sample.age_s - mean_s) ** 2 for sample in life)
        seconds += life[-1].age_s - life[0].age_s
    slope = covariance / variance * 3600 / _MB if variance else 0.0
    return {"mb_per_hour": round(slope, 2), "over_s": round(seconds, 1), "lives": len(lives)}


def drift(entries: Sequence[Entry], faults: Sequence[Fault], began: float, ended: float) -> dict[str, dict[str, float]]:
    """Latencies over HTTP in the first and the last third of the time, without what was sent during a fault."""
    third = (ended - began) / 3
    thirds: dict[str, list[float]] = {"first": [], "last": []}
    for entry in entries:
        disturbed = any(fault.began - AFTER_S <= entry.sent <= fault.recovered + AFTER_S for fault in faults)
        if entry.door != "http" or not entry.answered or disturbed:
            continue
        if entry.sent < began + third:
            thirds["first"].append(entry.latency_s * 1000)
        elif entry.sent >= ended - third:
            thirds["last"].append(entry.latency_s * 1000)
    return {name: spread(latencies_ms, "ms") for name, latencies_ms in thirds.items()}
