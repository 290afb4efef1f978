"""A process that a trial starts, kills and starts again."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from deploy.embedded.child import Child
from tests.metrics import metric_of

DEADLINE_S = 60.0
POLL_S = 0.005


class Process:
    """One command on one port, started as often as asked; it cannot outlive us. What it prints is added to `log`.

    `end_of_life` is the moment (seconds of the monotonic clock) at which its last life was seen to have ended.
    """

    def __init__(self, name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, port: int) -> None:
        self.name = name
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.log = log
        self.starts = 0
        self.end_of_life = 0.0
        self._command = [sys.executable, *command]
        self._environment = dict(environment)
        self._child: Child | None = None

    def start(self, failpoints: str = "", **settings: str) -> None:
        """Start it, with failpoints armed and with further settings for this life; it is not waited for."""
        assert not self.alive, f"{self.name} runs already"
        if self._child is not None:
            self._child.wait()
        self.starts += 1
        environment = self._environment | settings | {"TALLYSTICK_FAILPOINTS": failpoints}
        with self.log.open("ab") as output:
            output.write(f"--- start {self.starts} {failpoints}\n".encode())
            output.flush()
            self._child = Child(self._command, env=environment, output=output)

    async def ready(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until `/readyz` says so."""
        end = time.monotonic() + deadline_s
        async with httpx.AsyncClient(timeout=2.0) as http:
            while not await self._is_ready(http):
                assert self.alive, f"{self.name} ended:\n{self.last_words()}"
                assert time.monotonic() < end, f"{self.name} does not become ready:\n{self.last_words()}"
                await asyncio.sleep(0.02)

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        try:
            return (await http.get(f"{self.url}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    @property
    def pid(self) -> int:
        """The process id of this life."""
        assert self._child is not None, f"{self.name} was not started"
        return self._child.pid

    @property
    def alive(self) -> bool:
        """Whether it runs, or stands still."""
        return self._child is not None and self._child.poll() is None

    async def ended(self, deadline_s: float = DEADLINE_S) -> int:
        """Wait for the end of this life; the exit code, 128 + n after signal n."""
        child = self._child
        assert child is not None, f"{self.name} was not started"
        end = time.monotonic() + deadline_s
        while (code := child.poll()) is None:
            assert time.monotonic() < end, f"{self.name} does not end:\n{self.last_words()}"
            await asyncio.sleep(POLL_S)
        self.end_of_life = time.monotonic()
        child.wait()
        return code

    async def kill(self) -> None:
        """SIGKILL, and wait for the end."""
        os.kill(self.pid, signal.SIGKILL)
        await self.ended()

    def pause(self) -> None:
        """SIGSTOP: it stands still, its connections stay."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT."""
        os.kill(self.pid, signal.SIGCONT)

    async def standing_still(self, deadline_s: float = DEADLINE_S) -> None:
        """Wait until it has been stopped, say by a failpoint."""
        end = time.monotonic() + deadline_s
        while _state(self.pid) != "T":
            assert self.alive, f"{self.name} ended:\n{self.last_words()}"
            assert time.monotonic() < end, f"{self.name} does not stand still"
            await asyncio.sleep(POLL_S)

    async def stop(self) -> None:
        """End it in order, if it runs."""
        if self._child is not None and self.alive:
            self.resume()
            await asyncio.to_thread(self._child.stop)
            self.end_of_life = time.monotonic()

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 if there is none."""
        return await metric_of(self.url, name, labels)

    def memory_bytes(self) -> int:
        """Its resident memory now."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    def said(self) -> str:
        """All that it has printed, over all of its lives."""
        return self.log.read_text(errors="replace")

    def last_words(self, lines: int = 25) -> str:
        """The end of what it has printed."""
        return "\n".join(self.said().splitlines()[-lines:])


def _state(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return ""


async def keep(*processes: Process) -> None:
    """Start these again whenever they end, as a supervisor would, until cancelled."""
    while True:
        for process in processes:
            if not process.alive:
                process.start()
        await asyncio.sleep(0.05)
