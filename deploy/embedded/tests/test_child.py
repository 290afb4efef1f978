"""Children end with their owner, whichever way it goes."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from deploy.embedded.child import Child, ChildError
from deploy.embedded.tests.helpers import eventually
from deploy.embedded.watcher import is_alive

SLEEP = ["sleep", "60"]
STUBBORN = ["sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done"]
# Starts a child, prints its process id and the watcher's, and lives on.
OWNER = """
import sys, time
from deploy.embedded.child import Child
child = Child(["sleep", "60"])
print(child.pid, child.watcher_pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def owner() -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True)
    yield process
    process.kill()
    process.communicate()


def test_stop_gives_the_exit_code() -> None:
    child = Child(SLEEP)
    assert is_alive(child.pid)
    assert child.stop() == 128 + signal.SIGTERM
    assert not is_alive(child.pid)


def test_an_exit_code_is_the_commands_own() -> None:
    assert Child(["sh", "-c", "exit 7"]).wait(10) == 7


def test_a_command_that_does_not_exist_is_named() -> None:
    with pytest.raises(ChildError, match="/no/such/program"):
        Child(["/no/such/program"], output=subprocess.DEVNULL)


def test_one_that_ignores_its_stop_signal_is_killed_after_its_grace() -> None:
    child = Child(STUBBORN, grace_s=0.2, output=subprocess.PIPE)
    assert child.output.readline() == b"ready\n"
    assert child.stop() == 128 + signal.SIGKILL
    child.output.close()
    assert not is_alive(child.pid)


def test_grandchildren_go_too() -> None:
    child = Child(["sh", "-c", "sleep 60 & echo $!; wait"], output=subprocess.PIPE)
    grandchild = int(child.output.readline())
    child.kill()
    child.output.close()
    eventually(lambda: not is_alive(grandchild))


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_owners_death_ends_the_child(owner: subprocess.Popen[str], number: signal.Signals) -> None:
    assert owner.stdout is not None
    child, watcher = map(int, owner.stdout.readline().split())
    assert is_alive(child)
    owner.send_signal(number)
    eventually(lambda: not is_alive(child) and not is_alive(watcher))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of its parent's death")
def test_even_the_watchers_death_ends_the_child() -> None:
    child = Child(SLEEP)
    os.kill(child.watcher_pid, signal.SIGKILL)
    child.wait(10)
    eventually(lambda: not is_alive(child.pid))


def test_a_child_of_another_process_outlives_us_and_ends_with_that() -> None:
    with subprocess.Popen(["sleep", "60"]) as other:
        starter = f"""
import subprocess
from deploy.embedded.child import Child
child = Child(["sleep", "60"], owner_pid={other.pid}, output=subprocess.DEVNULL)
print(child.pid)
child.release()
"""
        done = subprocess.run([sys.executable, "-c", starter], capture_output=True, text=True, check=True)
        child = int(done.stdout)
        assert is_alive(child)
        other.kill()
        other.wait()
        eventually(lambda: not is_alive(child))
