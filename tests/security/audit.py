"""Known weaknesses of the locked packages, by `pip-audit`: `python -m tests.security.audit`.

Ends with 0 only when every package of the lock was looked up and none has a known weakness; with 1 when one has; with 3
when the advisories could not be had, for one package or for all: `pip-audit` itself passes such packages over.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.security.lock import LOCK, locked

FOUND, UNKNOWN = 1, 3
SECONDS_MAX = 600
SHOWN_MAX = 5


def judge(report: Mapping[str, Any], expected: Mapping[str, str]) -> tuple[int, list[str]]:
    """The exit code, and what to say, of a report in pip-audit's JSON about the packages that were `expected`."""
    told = {package["name"].lower(): package for package in report.get("dependencies", ())}
    weak = [
        f"{name} {package['version']}: {', '.join(fault['id'] for fault in package['vulns'])}"
        for name, package in sorted(told.items())
        if package.get("vulns")
    ]
    looked_up = {name for name, package in told.items() if "vulns" in package}
    missing = sorted(expected.keys() - looked_up)
    lines = [f"known weaknesses of {line}" for line in weak]
    if missing:
        shown = ", ".join(missing[:SHOWN_MAX]) + (" …" if len(missing) > SHOWN_MAX else "")
        lines.append(
            f"the advisories could not be had for {len(missing)} of {len(expected)} packages ({shown}): "
            "this audit proves nothing about them"
        )
    if weak:
        return FOUND, lines
    if missing:
        return UNKNOWN, lines
    return 0, [f"no known weakness in {len(expected)} packages"]


def audit(lock: Path = LOCK) -> tuple[int, list[str]]:
    """Ask the advisory service about every package of a lock file."""
    command = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip", "--progress-spinner", "off"]
    try:
        done = subprocess.run(
            [*command, "--format", "json", "--requirement", str(lock)],
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS_MAX,
        )
    except subprocess.TimeoutExpired:
        return UNKNOWN, [f"the advisories could not be had within {SECONDS_MAX} s: this audit proves nothing"]
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return UNKNOWN, [f"the advisories could not be had: {last}"]
    return judge(report, locked(lock))


if __name__ == "__main__":
    code, said = audit()
    print("\n".join(said), file=sys.stderr if code else sys.stdout)
    raise SystemExit(code)
