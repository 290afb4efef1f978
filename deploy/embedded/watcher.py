"""Runs one command and ends it when its owner is gone, however the owner went.

Started by ``deploy.embedded.child`` as a script of its own (standard library only, so that it starts in
milliseconds). The owner is either the process at the other end of a socket, whose closing the kernel guarantees even
after SIGKILL, or a process id that is looked at twice a second. SIGTERM means the same as a lost owner. The command
gets its stop signal, then its time of grace, then SIGKILL, with all of its process group.
"""

import argparse
import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PR_SET_PDEATHSIG = 1
OWNER_POLL_S = 0.5


def tie_to_parent(stop_signal: int) -> None:
    """Has the kernel signal this process when its parent dies, so that a killed watcher is followed (Linux)."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal, 0, 0, 0)


def is_alive(pid: int) -> bool:
    """Whether a process with this id runs. One that has ended and that nobody has waited for does not (Linux)."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0] not in "ZX"
    return True


def wait_for_end(child: subprocess.Popen[bytes], wakeup_fd: int, owner: socket.socket, owner_pid: int | None) -> None:
    """Returns when the command has ended or must be ended."""
    watched: list[int | socket.socket] = [wakeup_fd, owner]
    while child.poll() is None:
        ready, _, _ = select.select(watched, [], [], OWNER_POLL_S if owner_pid else None)
        if wakeup_fd in ready and signal.SIGTERM in os.read(wakeup_fd, 64):
            return
        if owner_pid is not None:
            if not is_alive(owner_pid):
                return
            if owner in ready:  # Whoever started us may end: another process owns the command.
                watched.remove(owner)
        elif owner in ready:
            return


def end(child: subprocess.Popen[bytes], stop_signal: int, grace_s: float) -> None:
    """Stops the command if it still runs, then kills what is left of its process group."""
    if child.poll() is None:
        child.send_signal(stop_signal)
        with contextlib.suppress(subprocess.TimeoutExpired):
            child.wait(grace_s)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def main(arguments: Sequence[str]) -> int:
    """Runs the command; the exit code is the command's own (128 + n when signal n ended it)."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--owner-fd", type=int, required=True)
    parser.add_argument("--owner-pid", type=int)
    parser.add_argument("--stop-signal", type=int, default=signal.SIGTERM)
    parser.add_argument("--grace", type=float, default=10.0)
    parser.add_argument("--uid", type=int)
    parser.add_argument("--gid", type=int)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    options = parser.parse_args(arguments)
    command = options.command[1:]  # The first is the "--" before it.

    wakeup_fd, wakeup_write_fd = os.pipe()
    os.set_blocking(wakeup_write_fd, False)
    signal.set_wakeup_fd(wakeup_write_fd)
    for number in (signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, lambda *_: None)
    owner = socket.socket(fileno=options.owner_fd)
    owner.set_inheritable(False)
    try:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            user=options.uid,
            group=options.gid,
            extra_groups=[] if options.uid is not None else None,
            start_new_session=True,
            preexec_fn=lambda: tie_to_parent(options.stop_signal),  # noqa: PLW1509 (this process has one thread)
        )
    except OSError as error:
        sys.stderr.write(f"{error.strerror}\n")
        return 127
    with contextlib.suppress(OSError):
        owner.sendall(f"{child.pid}\n".encode())
    wait_for_end(child, wakeup_fd, owner, options.owner_pid)
    end(child, options.stop_signal, options.grace)
    return child.returncode if child.returncode >= 0 else 128 - child.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
