"""The supervisor with a service of its own, as real processes."""

import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.embedded.ports import is_taken
from deploy.embedded.postgres import destroy
from deploy.embedded.tests.helpers import eventually
from deploy.embedded.watcher import is_alive

pytestmark = pytest.mark.postgres

STAND_IN = Path(__file__).with_name("stand_in.py")
START_S = 60.0
END_S = 15.0


class Suite:
    """A running supervisor of the stand-in service."""

    def __init__(self, data: Path, port_base: int) -> None:
        self.data = data
        self.port_base = port_base
        self.log = data.with_name(f"{secrets.token_hex(4)}.log")
        with self.log.open("ab") as log:
            command = [sys.executable, str(STAND_IN), "up", str(data), str(port_base)]
            self.process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)

    def ask(self) -> tuple[int, int, str]:
        """The service's process id, how often it was started on this data, and the broker's address as it knows it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port_base + 1}/", timeout=5) as answer:
            pid, starts, broker = answer.read().decode().split(" ", 2)
        return int(pid), int(starts), json.loads(broker)["bootstrap"]

    def answers(self, *, not_as: int = 0, not_with: str = "") -> bool:
        """Whether the service answers, as another process than ``not_as`` and with another broker than ``not_with``."""
        try:
            pid, _, broker = self.ask()
        except (OSError, ValueError):
            return False
        return pid != not_as and broker != not_with

    def wait_until_up(self) -> None:
        """Returns when everything was started."""
        eventually(lambda: self.process.poll() is not None or "Tallystick is running" in self.log.read_text(), START_S)
        assert self.process.poll() is None, self.log.read_text()

    def processes(self) -> set[int]:
        """Every process that stems from the supervisor, by the id of the session's ancestor."""
        parents = {}
        for stat in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = stat.read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(stat.parent.name)] = int(fields[1])
        found = {self.process.pid}
        while more := {pid for pid, parent in parents.items() if parent in found} - found:
            found |= more
        return found

    def made_once(self) -> dict[str, object]:
        """What is made on the first start only: the cluster, by when it was made, keys and passwords."""
        files = [self.data / "postgres" / "passwords.json", *sorted((self.data / "keys").glob("*"))]
        cluster = self.data / "postgres" / "cluster" / "PG_VERSION"
        return {"cluster": cluster.stat().st_mtime_ns, **{file.name: file.read_bytes() for file in files}}

    def postmaster(self) -> int:
        """PostgreSQL's process id."""
        return int((self.data / "postgres" / "cluster" / "postmaster.pid").read_text().split("\n")[0])


Start = Callable[[], Suite]


def all_free(base: int) -> bool:
    return not any(is_taken(base + offset) for offset in (1, 32))


@pytest.fixture
def port_base() -> int:
    return next(base for base in range(21_000 + os.getpid() % 200 * 50, 60_000, 50) if all_free(base))


@pytest.fixture
def start(tmp_path: Path, port_base: int) -> Iterator[Start]:
    suites: list[Suite] = []

    def begin() -> Suite:
        suites.append(Suite(tmp_path / "data", port_base))
        return suites[-1]

    yield begin
    for suite in suites:
        suite.process.terminate()
        suite.process.wait(END_S)
    destroy(tmp_path / "data" / "postgres")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_nothing_runs_after_the_supervisor_and_a_second_start_finds_the_data(
    start: Start, number: signal.Signals
) -> None:
    first = start()
    first.wait_until_up()
    assert first.ask()[1] == 1
    processes = first.processes()
    assert len(processes) >= 7, "the supervisor, PostgreSQL, broker and service, each with its watcher"

    first.process.send_signal(number)
    code = first.process.wait(END_S)
    eventually(lambda: not any(map(is_alive, processes)), END_S)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)
    assert all_free(first.port_base)

    # How long it takes is measured by `make bench`; here, that nothing is made anew.
    made = first.made_once()
    second = start()
    second.wait_until_up()
    assert second.ask()[1] == 2
    assert second.made_once() == made
    assert "which is new" in first.log.read_text()
    assert "which is new" not in second.log.read_text()


def test_a_start_right_after_a_kill_waits_for_what_is_still_ending(start: Start) -> None:
    first = start()
    first.wait_until_up()
    first.process.kill()
    second = start()
    second.wait_until_up()
    assert second.ask()[1] == 2


def test_whatever_dies_is_started_again(start: Start) -> None:
    suite = start()
    suite.wait_until_up()
    service, _, broker = suite.ask()
    os.kill(service, signal.SIGKILL)
    eventually(lambda: suite.answers(not_as=service))

    postmaster = suite.postmaster()
    os.kill(postmaster, signal.SIGKILL)
    eventually(lambda: not is_alive(postmaster))
    eventually(lambda: suite.answers() and suite.postmaster() != postmaster)

    broker_process = next(pid for pid in suite.processes() if is_broker(pid))
    os.kill(broker_process, signal.SIGKILL)
    eventually(lambda: suite.answers(not_with=broker))


def is_broker(pid: int) -> bool:
    command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    return command[1:3] == [b"-m", b"deploy.embedded.broker"]


def test_a_second_instance_on_the_same_data_is_refused(start: Start) -> None:
    first = start()
    first.wait_until_up()
    second = start()
    assert second.process.wait(END_S) == 1
    assert f"already runs on {first.data} (process {first.process.pid})" in second.log.read_text()
    assert first.answers()


def test_a_taken_port_is_named_with_what_to_set(start: Start, port_base: int) -> None:
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port_base + 32))
        other.listen()
        suite = start()
        assert suite.process.wait(END_S) == 1
    said = suite.log.read_text()
    assert f"{suite.port_base + 32} (PostgreSQL)" in said
    assert "TALLYSTICK_PORT_BASE" in said
    assert "Traceback" not in said


def test_lines_carry_the_name_of_their_process(start: Start) -> None:
    suite = start()
    suite.wait_until_up()
    said = suite.log.read_text()
    assert "ledger         | serving" in said
    assert "postgres       | LOG:  database system is ready to accept connections" in said
    assert "\x1b[" not in said, "no colours in a file"


def test_up_refuses_production(tmp_path: Path) -> None:
    environment = {**os.environ, "TALLYSTICK_ENV": "production", "TALLYSTICK_DATA": str(tmp_path / "data")}
    command = [sys.executable, "-c", "from deploy.embedded.cli import cli; cli()"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "TALLYSTICK_ENV=production" in done.stderr
    assert not (tmp_path / "data").exists()
