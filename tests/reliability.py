"""What trials found, as figures: `build/reliability/<name>.json`."""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).resolve().parents[1] / "build" / "reliability"


def write_report(name: str, figures: Mapping[str, Any]) -> None:
    """Keep a trial's figures in place of those of the time before, with when and on what they were made."""
    made = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
    }
    path = _path(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**figures, **made}, indent=2) + "\n")


def write_part(name: str, part: str, figures: Mapping[str, Any]) -> None:
    """Keep the figures of one of the trials that share a report beside those of the others, and print them."""
    path = _path(name)
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    write_report(name, {**known, part: figures})
    print(f"{name} {part}: {json.dumps(figures, sort_keys=True)}")


def write_figures(name: str, figures: Mapping[str, Any], began: float) -> None:
    """Keep the figures of a trial that began at `began` (monotonic seconds), and print them."""
    told = {**figures, "seconds": round(time.monotonic() - began, 1)}
    write_report(name, told)
    print(f"\n{name}: " + ", ".join(f"{key} {value}" for key, value in told.items()))


def spread(values: Sequence[float], unit: str = "s") -> dict[str, float]:
    """How many these are, their median, 99th percentile and maximum, named by their unit; zeros of nothing."""
    ordered = sorted(values) or [0.0]
    return {
        "count": len(values),
        f"p50_{unit}": round(ordered[len(ordered) // 2], 4),
        f"p99_{unit}": round(ordered[int(len(ordered) * 0.99)], 4),
        f"max_{unit}": round(ordered[-1], 4),
    }


def _path(name: str) -> Path:
    return DIRECTORY / f"{name}.json"
