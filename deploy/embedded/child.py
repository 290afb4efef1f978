"""A child process that cannot outlive its owner."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

WATCHER = Path(__file__).with_name("watcher.py")
KILL_MARGIN_S = 5.0


@dataclass(frozen=True, slots=True)
class User:
    """The operating system's user that a child runs as."""

    uid: int
    gid: int


class Child:
    """A command run under a watcher that ends it when this process dies, SIGKILL included.

    The command runs in a session of its own, so that a Ctrl-C in the terminal reaches only its owner. ``stop_signal``
    is sent first, ``SIGKILL`` after ``grace_s`` seconds. With ``owner_pid`` the child belongs to that process instead
    of this one. ``held_fds`` stay open in the watcher for as long as the command runs: a lock held by one of them is
    freed only then.

    Raises ``ChildError`` when the command cannot be started.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: User | None = None,
        stop_signal: signal.Signals = signal.SIGTERM,
        grace_s: float = 10.0,
        output: int | IO[bytes] | None = None,
        owner_pid: int | None = None,
        held_fds: Sequence[int] = (),
    ) -> None:
        self._grace_s = grace_s
        self._owner, theirs = socket.socketpair()
        # -I and -S keep the watcher independent of the environment and quick to start.
        watcher = [sys.executable, "-I", "-S", str(WATCHER), "--owner-fd", str(theirs.fileno())]
        watcher += ["--stop-signal", str(int(stop_signal)), "--grace", str(grace_s)]
        if owner_pid is not None:
            watcher += ["--owner-pid", str(owner_pid)]
        if user is not None:
            watcher += ["--uid", str(user.uid), "--gid", str(user.gid)]
        with theirs:
            self._watcher = subprocess.Popen(
                [*watcher, "--", *command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output is not None else None,
                env=env,
                cwd=cwd,
                pass_fds=[theirs.fileno(), *held_fds],
                start_new_session=True,
            )
        answer = self._owner.makefile("rb").readline()
        if not answer:
            self._owner.close()
            said = self._watcher.communicate()[0] or b""
            reason = said.decode(errors="replace").strip() or f"exit code {self._watcher.returncode}"
            raise ChildError(f"{command[0]} could not be started ({reason})")
        self.pid = int(answer)
        """The command's process id."""

    @property
    def watcher_pid(self) -> int:
        """The watcher's process id; SIGTERM to it stops the command."""
        return self._watcher.pid

    @property
    def output(self) -> IO[bytes]:
        """What the command prints, when it was started with ``output=subprocess.PIPE``."""
        assert self._watcher.stdout is not None, "the child was not started with a pipe"  # noqa: S101
        return self._watcher.stdout

    def poll(self) -> int | None:
        """The exit code if the command has ended (128 + n after signal n), else None."""
        return self._watcher.poll()

    def wait(self, timeout_s: float | None = None) -> int:
        """Waits for the end and returns the exit code. Raises ``subprocess.TimeoutExpired``."""
        code = self._watcher.wait(timeout_s)
        self._owner.close()
        return code

    def release(self) -> None:
        """Leaves the command to its ``owner_pid``: this process neither ends it nor waits for it any more."""
        self._owner.close()
        self._watcher.returncode = 0  # Popen would otherwise warn of a child that still runs.

    def ask_to_stop(self) -> None:
        """Begins the command's end without waiting for it."""
        if self.poll() is None:
            self._watcher.terminate()

    def stop(self) -> int:
        """Ends the command, by force after its grace, and returns its exit code."""
        self.ask_to_stop()
        return self.wait(self._grace_s + KILL_MARGIN_S)

    def kill(self) -> int:
        """Ends the command by SIGKILL, as a crash would."""
        if self.poll() is None:
            os.kill(self.pid, signal.SIGKILL)
        return self.wait(KILL_MARGIN_S)


class ChildError(RuntimeError):
    """A child process could not be started or did not become ready."""
