"""One running instance for each data directory."""

import fcntl
import os
import time
from pathlib import Path
from typing import Self

from deploy.embedded.watcher import is_alive

LEAVING_S = 30.0


class AlreadyRunning(RuntimeError):
    """Another instance uses the data directory."""


class InstanceLock:
    """Holds the data directory. The children's watchers hold it too, so it is free only when nothing runs any more.

    Waits for the children of an instance that was killed. Raises ``AlreadyRunning`` when one is alive.
    """

    def __init__(self, data: Path) -> None:
        data.mkdir(parents=True, exist_ok=True)
        self._file = (data / "supervisor.lock").open("a+")
        deadline = time.monotonic() + LEAVING_S
        while not self._try():
            self._file.seek(0)
            owner = int(self._file.read() or 0)
            if (owner and is_alive(owner)) or time.monotonic() > deadline:
                self._file.close()
                raise AlreadyRunning(
                    f"Tallystick already runs on {data} (process {owner}). "
                    "Stop it, or set TALLYSTICK_DATA to another directory"
                )
            time.sleep(0.05)
        self._file.truncate(0)
        self._file.write(str(os.getpid()))
        self._file.flush()

    @property
    def fd(self) -> int:
        """The descriptor that children's watchers must hold."""
        return self._file.fileno()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def _try(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True
