"""One running instance for each data directory."""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

LEAVING_S = 30.0


class AlreadyRunning(RuntimeError):
    """Another instance uses the data directory."""


class InstanceLock:
    """Holds the data directory with two locks: the supervisor's own, and one that its children's watchers hold too.

    A supervisor that was killed frees the first at once, while its children are still ending under the second: they
    are waited for. Raises ``AlreadyRunning`` when another supervisor lives, or its children do not end.
    """

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._own = (data / "supervisor.lock").open("a+")
        if not _try(self._own.fileno()):
            self._own.seek(0)
            owner = self._own.read()
            self._own.close()
            raise AlreadyRunning(
                f"Tallystick already runs on {data} (process {owner}). "
                "Stop it, or set TALLYSTICK_DATA to another directory"
            )
        self._own.truncate(0)
        self._own.write(str(os.getpid()))
        self._own.flush()
        self._children = (data / "children.lock").open("a")
        deadline = time.monotonic() + LEAVING_S
        while not _try(self._children.fileno()):
            if time.monotonic() > deadline:
                self.__exit__()
                raise AlreadyRunning(f"Processes of an earlier start still run on {data}")
            time.sleep(0.05)

    @property
    def children_fd(self) -> int:
        """The descriptor that children's watchers must hold."""
        return self._children.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._children.close()
        self._own.close()


def _try(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
