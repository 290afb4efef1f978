"""Waiting for what other processes do."""

import time
from collections.abc import Callable
from pathlib import Path

from deploy.embedded.watcher import is_alive

BOUND_S = 15.0


def eventually(condition: Callable[[], object], within_s: float = BOUND_S) -> None:
    """Returns when the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not so after {within_s:g} s"
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """Whether the process runs: one that has ended and whose parent has not looked yet does not."""
    if not is_alive(pid):
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()
