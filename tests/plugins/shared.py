"""Servers that all workers of one test run share, and that end with the run however it ends.

The first worker that needs a server starts it; its watcher follows the run's controlling process (pytest itself, or
pytest-xdist's controller), so that a killed run leaves nothing. What a server's users must know lies in a file.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.child import Child
from deploy.embedded.postgres import destroy, write_private
from deploy.embedded.watcher import is_alive

RUNS = Path(tempfile.gettempdir()) / f"tallystick-tests-{os.geteuid()}"
STOP_S = 30.0


def controller_pid(config: pytest.Config) -> int:
    """The process whose end is the end of the run."""
    worker_input: dict[str, Any] = getattr(config, "workerinput", {})
    return int(worker_input.get("controller_pid", os.getpid()))


def run_directory(config: pytest.Config) -> Path:
    """A folder for this run that other users may pass through but not read."""
    directory = RUNS / str(controller_pid(config))
    directory.mkdir(parents=True, exist_ok=True)
    for folder in (RUNS, directory):
        folder.chmod(0o711)
    return directory


@contextlib.contextmanager
def run_lock(config: pytest.Config, name: str) -> Iterator[None]:
    """Excludes the run's other workers."""
    with (run_directory(config) / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def shared_server(
    config: pytest.Config,
    name: str,
    start: Callable[[Path, int], tuple[Child, dict[str, Any]]],
) -> dict[str, Any]:
    """What ``start`` said of the run's server of this name, starting it if nobody has.

    ``start`` gets a folder and a file descriptor that the child's watcher must hold.
    """
    directory = run_directory(config)
    facts_file = directory / f"{name}.json"
    with run_lock(config, name):
        if not facts_file.exists():
            with (directory / f"{name}.alive").open("w") as alive:
                fcntl.flock(alive, fcntl.LOCK_EX)
                child, facts = start(directory / name, alive.fileno())
            write_private(facts_file, json.dumps({"watcher": child.watcher_pid, **facts}))
            child.release()
        found: dict[str, Any] = json.loads(facts_file.read_text())
    return found


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tells pytest-xdist's workers whose run they are of."""
    node.workerinput["controller_pid"] = os.getpid()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Ends the run's servers, in its controlling process only, and sweeps up after runs that were killed."""
    if controller_pid(config) != os.getpid() or not RUNS.exists():
        return
    directory = RUNS / str(os.getpid())
    for facts_file in directory.glob("*.json"):
        with contextlib.suppress(ProcessLookupError):
            os.kill(json.loads(facts_file.read_text())["watcher"], signal.SIGTERM)
        _wait_for_lock(facts_file.with_suffix(".alive"))
    for run in RUNS.iterdir():
        if run == directory or not is_alive(int(run.name)):
            destroy(run / "postgres")
            shutil.rmtree(run, ignore_errors=True)


def _wait_for_lock(path: Path) -> None:
    """Returns when the watcher that holds the lock has ended its server."""
    deadline = time.monotonic() + STOP_S
    with path.open() as alive:
        while time.monotonic() < deadline:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            time.sleep(0.02)
