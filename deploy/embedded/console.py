"""Lines of many processes on one terminal, each with the name of whose it is."""

import os
import sys
import threading
from typing import TextIO

NAME_WIDTH = 14
COLOURS = (36, 32, 35, 34, 33, 96, 92, 95)
RED, BOLD, DIM = 31, 1, 2


class Console:
    """Prints whole lines from any thread; in colour on a terminal, unless ``NO_COLOR`` is set."""

    def __init__(self, stream: TextIO = sys.stdout) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._colours: dict[str, int] = {}
        self._lock = threading.Lock()

    def line(self, name: str, text: str) -> None:
        """Prints what the named process said."""
        with self._lock:
            colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
            self._write(f"{self._paint(f'{name:<{NAME_WIDTH}} |', colour)} {text}")

    def say(self, text: str) -> None:
        """Prints what we ourselves have to say."""
        with self._lock:
            self._write(self._paint(text, BOLD))

    def error(self, text: str) -> None:
        """Prints what went wrong."""
        with self._lock:
            self._write(self._paint(text, RED))

    def plain(self, text: str) -> None:
        """Prints a text as it is."""
        with self._lock:
            self._write(text)

    def _paint(self, text: str, colour: int) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text

    def _write(self, text: str) -> None:
        try:
            self._stream.write(f"{text}\n")
            self._stream.flush()
        except OSError:  # Nobody reads any more (the terminal is gone): that is no reason to stop the services.
            self._coloured = False
