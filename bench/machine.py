"""How busy the machine was with other things while something was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
CORES = os.cpu_count() or 1
BUSY_SHARE = 0.10
"""A measurement is called disturbed when others took more than this share of the machine."""


@dataclass(slots=True)
class Usage:
    """What happened to the processors during a measurement, as shares of all of them; None where it is not known."""

    others: float | None = None
    """What processes that are not ours took, and what a hypervisor withheld."""
    ours: float | None = None

    @property
    def disturbed(self) -> bool:
        """Whether others took so much that the figures say little."""
        return self.others is not None and self.others > BUSY_SHARE


@contextmanager
def watched() -> Iterator[Usage]:
    """Fills in the usage when the block ends."""
    usage = Usage()
    if not (PROC / "stat").exists():
        yield usage
        return
    all_before, ours_before, began = _busy_s(), worked_s(os.getpid()), time.monotonic()
    yield usage
    capacity_s = (time.monotonic() - began) * CORES
    ours = worked_s(os.getpid()) - ours_before
    usage.ours = ours / capacity_s
    usage.others = max(0.0, _busy_s() - all_before - ours) / capacity_s


def _busy_s() -> float:
    """Seconds that all processors together have worked since boot, stolen time included."""
    user, nice, system, _idle, _wait, irq, softirq, steal, *_ = map(int, _first_line(PROC / "stat").split()[1:])
    return (user + nice + system + irq + softirq + steal) / os.sysconf("SC_CLK_TCK")


def _first_line(path: Path) -> str:
    with path.open() as file:
        return file.readline()


def worked_s(root: int) -> float:
    """Seconds that a process and its descendants have worked, with those that have ended and were waited for."""
    worked: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for entry in PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            fields = (entry / "stat").read_text().rpartition(")")[2].split()
        except OSError:  # It ended just now.
            continue
        pid = int(entry.name)
        worked[pid] = sum(map(int, fields[11:15]))
        children.setdefault(int(fields[1]), []).append(pid)
    found, todo = 0, [root]
    while todo:
        pid = todo.pop()
        found += worked.get(pid, 0)
        todo += children.get(pid, [])
    return found / os.sysconf("SC_CLK_TCK")


class Meter:
    """Counts the processor time of processes, with their descendants, from its making on."""

    def __init__(self, **pids: int) -> None:
        self._pids = pids
        self._before = self._now()

    def each_us(self, count: int, client_s: float | None = None) -> dict[str, float]:
        """Microseconds for each of `count` things done, by process, and those of the client, which counts its own."""
        spent = {name: now - self._before[name] for name, now in self._now().items()}
        if client_s is not None:
            spent["client"] = client_s
        return {name: seconds / max(count, 1) * 1e6 for name, seconds in spent.items()}

    def _now(self) -> dict[str, float]:
        return {name: worked_s(pid) for name, pid in self._pids.items()} if (PROC / "stat").exists() else {}


def resident_mb(pid: int) -> float:
    """Megabytes of memory that a process holds; 0 where that cannot be read."""
    try:
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0
