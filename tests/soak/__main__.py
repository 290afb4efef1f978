"""`python -m tests.soak --minutes 30 [--rate 40] [--every 20] [--seed 1]`: prints one line, writes `soak.json`."""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from tests.reliability import write_report
from tests.soak.run import soak


def main() -> None:
    """Run a soak; the exit code is 1 when anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--rate", type=float, default=40.0, help="stories a second; most are one command")
    parser.add_argument("--every", type=float, default=20.0, help="seconds between faults, on average")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tallystick-soak-") as directory:
        report = asyncio.run(
            soak(Path(directory), options.minutes * 60, rate=options.rate, every_s=options.every, seed=options.seed)
        )
    write_report("soak", report)
    growth = ", ".join(f"{name} {slope['mb_per_hour']:+.1f} MB/h" for name, slope in report["memory"].items())
    first, last = report["latency"]["first"], report["latency"]["last"]
    print(
        f"{report['seconds'] / 60:.1f} min, {report['commands']} commands, {len(report['faults'])} faults,"
        f" {len(report['violations'])} violations; p50 {first['p50_ms']} → {last['p50_ms']} ms,"
        f" p99 {first['p99_ms']} → {last['p99_ms']} ms; {growth}"
    )
    for violation in report["violations"]:
        print(violation)
    sys.exit(bool(report["violations"]))


if __name__ == "__main__":
    main()
