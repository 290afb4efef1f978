"""What a campaign found, as a line to read and as `build/reliability/<name>.json`."""

from __future__ import annotations

import json
import os
import platform
import time
from pathlib import Path
from typing import Any

DIRECTORY = Path(__file__).parents[2] / "build" / "reliability"


def write_figures(name: str, figures: dict[str, Any], began: float) -> None:
    """Keep the figures of a campaign that began at `began` (monotonic seconds), and print them."""
    told = {
        "name": name,
        **figures,
        "seconds": round(time.monotonic() - began, 1),
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "where": f"{os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}",
    }
    DIRECTORY.mkdir(parents=True, exist_ok=True)
    (DIRECTORY / f"{name}.json").write_text(json.dumps(told, indent=2) + "\n")
    print(f"\n{name}: " + ", ".join(f"{key} {value}" for key, value in told.items() if key not in ("name", "where")))
