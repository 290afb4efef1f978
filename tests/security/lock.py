"""What is locked: the packages of a lock file."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
LOCK = ROOT / "requirements.lock"
_PIN = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def locked(file: Path = LOCK) -> dict[str, str]:
    """Name (as PEP 503 writes it) to version."""
    pins = _PIN.findall(file.read_text(encoding="utf-8"))
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in pins}
