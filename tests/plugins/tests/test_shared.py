"""A test run leaves nothing behind, and its workers share one server."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.embedded.tests.helpers import eventually
from deploy.embedded.watcher import is_alive
from tests.plugins import kafka
from tests.plugins.shared import RUNS

ROOT = Path(__file__).parents[3]
SLOW = """
import time

def test_uses_postgres(postgres_server, tmp_path_factory):
    postgres_server.sql("SELECT 1")
    print(postgres_server.port)
    time.sleep({seconds})

def test_uses_postgres_too(postgres_server):
    print(postgres_server.port)
    time.sleep({seconds})
"""


def begin(test_file: Path, workers: int) -> subprocess.Popen[bytes]:
    """A test run of its own."""
    command = [sys.executable, "-m", "pytest", "-q", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    command += ["--confcutdir", str(ROOT), "-p", "conftest", "-n", str(workers), str(test_file)]
    # Whatever this run's own worker was told is not for the other run.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(ROOT)
    return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, start_new_session=True)


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("number", [signal.SIGKILL, None], ids=["killed", "finished"])
def test_the_server_ends_with_the_run(tmp_path: Path, workers: int, number: signal.Signals | None) -> None:
    test_file = tmp_path / "test_slow.py"
    test_file.write_text(SLOW.format(seconds=60 if number else 0.1))
    run = begin(test_file, workers)
    facts = RUNS / str(run.pid) / "postgres.json"
    pid_file = RUNS / str(run.pid) / "postgres" / "cluster" / "postmaster.pid"
    try:
        eventually(lambda: facts.exists() or run.poll() is not None, 60)
        if number is None:
            assert run.wait(60) == 0
            assert not facts.parent.exists()
            return
        postmaster, watcher = int(pid_file.read_text().split("\n")[0]), json.loads(facts.read_text())["watcher"]
        assert is_alive(postmaster)
        run.send_signal(number)
        eventually(lambda: not is_alive(postmaster) and not is_alive(watcher))
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(run.pid, signal.SIGKILL)
        run.wait()


def test_without_java_tests_with_kafka_are_skipped_but_fail_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kafka, "missing", lambda: "Java is not installed")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="Java is not installed"):
        kafka.require_kafka()
    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match="Java is not installed"):
        kafka.require_kafka()
