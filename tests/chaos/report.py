"""Where the figures of campaigns go: `build/reliability/<name>.json`."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def write_report(name: str, report: dict[str, Any]) -> Path:
    """Write a campaign's figures, with when and on what they were made."""
    path = ROOT / "build" / "reliability" / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    made = {
        "made_at": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "machine": {"cpus": os.cpu_count(), "system": platform.platform(), "python": platform.python_version()},
    }
    path.write_text(json.dumps(made | report, indent=2) + "\n")
    return path
