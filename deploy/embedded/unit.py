"""One process that is kept running."""

import threading
import time
from collections.abc import Callable

from deploy.embedded.admin import PostgresError
from deploy.embedded.child import Child, ChildError

FIRST_DELAY_S = 0.5
LONGEST_DELAY_S = 15.0
STEADY_S = 30.0


class Unit:
    """Starts a process, passes its lines on, and starts it again whenever it ends, with growing pauses.

    ``launch`` starts it with its output in a pipe; ``say`` gets each line.
    """

    def __init__(self, name: str, launch: Callable[[], Child], say: Callable[[str], None]) -> None:
        self.name = name
        self.ends = 0
        """How often the process ended by itself or could not be started."""
        self._launch = launch
        self._say = say
        self._child: Child | None = None
        self._stopping = threading.Event()
        self._launching = threading.Lock()
        self._thread = threading.Thread(target=self._keep_running, name=name, daemon=True)

    def start(self) -> None:
        """Begins."""
        self._thread.start()

    def ask_to_stop(self) -> None:
        """Begins the process's end; it will not be started again."""
        self._stopping.set()
        with self._launching:
            if self._child is not None:
                self._child.ask_to_stop()

    def stop(self) -> None:
        """Ends the process and waits for it."""
        self.ask_to_stop()
        if self._thread.is_alive():
            self._thread.join()

    def _keep_running(self) -> None:
        delay_s = FIRST_DELAY_S
        while not self._stopping.is_set():
            started = time.monotonic()
            said = self._run_once()
            if self._stopping.is_set():
                return
            self.ends += 1
            if time.monotonic() - started > STEADY_S:
                delay_s = FIRST_DELAY_S
            self._say(f"{said}; starting it again in {delay_s:g} s")
            self._stopping.wait(delay_s)
            delay_s = min(2 * delay_s, LONGEST_DELAY_S)

    def _run_once(self) -> str:
        """Runs the process to its end and says how it ended."""
        try:
            with self._launching:
                if self._stopping.is_set():
                    return "not started"
                self._child = self._launch()
        except (ChildError, PostgresError, OSError) as error:
            return str(error)
        for line in self._child.output:
            self._say(line.decode(errors="replace").rstrip("\n"))
        code = self._child.wait()
        self._child.output.close()
        return f"ended with code {code}"
