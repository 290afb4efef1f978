"""How long `tallystick up` takes until it serves: on an empty directory, and again on the data that it left there."""

from __future__ import annotations

import os
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

from bench.world import ROOT, BenchError
from deploy.embedded.child import Child
from deploy.embedded.ports import LOOPBACK, is_taken
from deploy.embedded.postgres import destroy
from libs.service.settings import PORTS

LIMIT_S = 120.0
POLL_S = 0.01
STOP_S = 30.0
_OFFSETS = (PORTS["ledger"], PORTS["postgres"])


def measure(directory: Path, rounds: int) -> tuple[float, Sequence[float]]:
    """Seconds until the ledger is ready: of the first start in `directory`, which is empty, and of later ones."""
    directory.mkdir()
    try:
        first, *later = [_start(directory, number) for number in range(rounds + 1)]
        return first, later
    finally:
        destroy(directory / "data" / "postgres")


def _start(directory: Path, number: int) -> float:
    base = next(base for base in range(12_000, 30_000, 300) if not any(is_taken(base + each) for each in _OFFSETS))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
    environment |= {"TALLYSTICK_DATA": str(directory / "data"), "TALLYSTICK_PORT_BASE": str(base)}
    log = directory / f"log-{number}"
    began = time.monotonic()
    with log.open("wb") as output:
        command = [sys.executable, "-m", "libs.service.cli", "up"]
        child = Child(command, env=environment, cwd=ROOT, output=output, grace_s=STOP_S)
    try:
        while not _serves(base + PORTS["ledger"]):
            if child.poll() is not None or time.monotonic() > began + LIMIT_S:
                raise BenchError(f"the suite did not start:\n{log.read_text(errors='replace')[-2000:]}")
            time.sleep(POLL_S)
        took_s = time.monotonic() - began
        _wait_until_complete(child, log)
        return took_s
    finally:
        child.stop()


def _wait_until_complete(child: Child, log: Path) -> None:
    """The first start goes on applying the apps: it is not stopped in the middle of that."""
    deadline = time.monotonic() + LIMIT_S
    while "Tallystick is running" not in log.read_text(errors="replace"):
        if child.poll() is not None or time.monotonic() > deadline:
            raise BenchError(f"the suite did not complete its start:\n{log.read_text(errors='replace')[-2000:]}")
        time.sleep(POLL_S)


def _serves(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://{LOOPBACK}:{port}/readyz", timeout=1.0) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
