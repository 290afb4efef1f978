"""The version before this one, out of the repository's own history, and processes of both versions side by side."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from deploy.embedded.ports import free_port
from services.ledger.tests.support import PARTITIONS
from tests.plugins.postgres import Database

ROOT = Path(__file__).parents[2]
EARLIER = "834fb9f4b0a4325e41ba6598c38e696bea76a982"
"""The commit that is taken for the version before: the first ledger, before the epoch of relays and the verifier."""
PARTS = ("libs", "services", "deploy", "tests", "docs", "conftest.py", "pyproject.toml")
STOP_S = 60.0


def earlier_code(directory: Path) -> Path:
    """The code of the version before, in a directory. Skips the test where the history does not reach so far."""
    command = ["git", "-C", str(ROOT), "archive", "--format=tar", EARLIER, *PARTS]
    done = subprocess.run(command, capture_output=True, check=False)
    if done.returncode:
        pytest.skip(
            f"The version before (commit {EARLIER[:7]}) is not in this clone: fetch the whole history to run it beside "
            f"this one. Git said: {done.stderr.decode(errors='replace').strip()}"
        )
    with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
        archive.extractall(directory, filter="data")
    return directory


@dataclass
class Site:
    """A database and a broker on which processes of both versions run."""

    database: Database
    data: Path
    kafka: str
    earlier: Path
    logs: dict[str, Path] = field(default_factory=dict)

    def environment(self, code: Path, port: int | None = None, **more: str) -> dict[str, str]:
        """What a process of a version is started with."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")},
            "PYTHONPATH": os.pathsep.join((str(code), str(code / "libs" / "client"))),
            "TALLYSTICK_ENV": "test",
            "TALLYSTICK_DATA": str(self.data),
            "TALLYSTICK_KAFKA": self.kafka,
            "TALLYSTICK_LEDGER_DSN": self.database.runtime_dsn,
            "TALLYSTICK_LEDGER_OWNER_DSN": self.database.owner_dsn,
            "TALLYSTICK_LEDGER_PARTITIONS": str(PARTITIONS),
            "TALLYSTICK_LEDGER_PORT": str(port or free_port()),
            "TALLYSTICK_LEDGER_GRPC_PORT": "0",
            **more,
        }

    def run(self, code: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a Python process of a version to its end."""
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=code,
            env=self.environment(code),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    def migrate(self, code: Path) -> str:
        """Run a version's migrations; what it said."""
        done = self.run(code, "-m", "services.ledger", "migrate")
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def process(self, code: Path, verb: str, **more: str) -> Iterator[Running]:
        """A process of a version, asked to stop when the block ends."""
        port = free_port()
        log = self.data / f"{verb}-{port}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "services.ledger", verb],
                cwd=code,
                env=self.environment(code, port, **more),
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        running = Running(process, f"http://127.0.0.1:{port}", log)
        try:
            yield running
        finally:
            running.stop()


@dataclass
class Running:
    """A process and where it listens."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def ready(self) -> bool:
        """Whether it serves; fails the test when it has ended."""
        assert self.process.poll() is None, self.log.read_text()
        try:
            return httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self, number: signal.Signals = signal.SIGTERM) -> None:
        """End it and wait for its end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            self.process.wait(STOP_S)
        finally:
            self.process.kill()
            self.process.wait()


def headers_of(token: str, key: str) -> Mapping[str, str]:
    """What a write is sent with."""
    return {"Authorization": f"Bearer {token}", "Idempotency-Key": key}
