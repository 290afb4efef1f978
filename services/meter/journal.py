"""The proxy's journal: a file to which every step of a call is appended before its effect is seen.

What is written survives the death of the process at once, and that of the machine once it is synchronised. A call that
was begun and not settled is found again at the next start. The file is rewritten with the open calls alone at each
start and whenever it has grown.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import orjson

from libs.events.tasks import in_thread
from services.meter.domain import calls
from services.meter.domain.calls import Call, Usage


class JournalInUse(RuntimeError):
    """Another proxy writes this journal."""


class Journal:
    """The journal in `directory`, which is this process's alone. Raises :class:`JournalInUse`."""

    def __init__(self, directory: Path, bytes_max: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._path = directory / "calls.jsonl"
        self._bytes_max = bytes_max
        self._lock = (directory / "lock").open("a")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._lock.close()
            raise JournalInUse(f"another proxy writes the journal in {directory}") from None
        self._calls = calls.fold(_records(self._path))
        self._fd, self._bytes = self._rewritten()

    def open_calls(self) -> list[Call]:
        """Calls that are begun and not settled, the oldest first."""
        return list(self._calls.values())

    def call(self, call_id: str) -> Call:
        """An open call as it is now."""
        return self._calls[call_id]

    def begin(self, call: Call) -> None:
        """A call begins."""
        self._append(calls.begun(call))

    def held(self, call_id: str, hold: str) -> None:
        """Its hold is there."""
        self._append(calls.changed(call_id, hold=hold))

    def made(self, call_id: str, output: int) -> None:
        """So many tokens of its answer are there; they may be shown once this is written."""
        self._append(calls.changed(call_id, output=output))

    def used(self, call_id: str, usage: Usage) -> None:
        """What it used in the end."""
        self._append(calls.changed(call_id, usage=dict(usage)))

    def settled(self, call_id: str) -> None:
        """It is paid, or nothing is due."""
        self._append(calls.settled(call_id))
        if self._bytes > self._bytes_max:
            os.close(self._fd)
            self._fd, self._bytes = self._rewritten()

    async def sync(self) -> None:
        """Return when what is written so far outlives the machine's power."""
        # Of a descriptor of its own: the journal's may be closed and given to another file meanwhile.
        await in_thread(_sync, os.dup(self._fd))

    def close(self) -> None:
        """Close the files and let go of the directory."""
        os.close(self._fd)
        self._lock.close()

    def _append(self, record: Mapping[str, Any]) -> None:
        line = orjson.dumps(record) + b"\n"
        written = os.write(self._fd, line)
        if written != len(line):
            # What comes next must not be read as the rest of this line.
            os.ftruncate(self._fd, self._bytes)
            raise OSError(f"{self._path}: {written} of {len(line)} bytes were written")
        self._bytes += written
        calls.apply(self._calls, dict(record))

    def _rewritten(self) -> tuple[int, int]:
        """The file with the open calls alone, put in place in one step; its descriptor and its length."""
        draft = self._path.with_suffix(".new")
        with draft.open("wb") as file:
            for call in self._calls.values():
                record = calls.begun(call)
                file.write(orjson.dumps(record) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            length = file.tell()
        draft.replace(self._path)
        directory = os.open(self._path.parent, os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
        return os.open(self._path, os.O_WRONLY | os.O_APPEND), length


def _sync(fd: int) -> None:
    try:
        os.fdatasync(fd)
    finally:
        os.close(fd)


def _records(path: Path) -> Iterator[calls.Record]:
    """The records of a file. The last line may be cut off: what it was to say has had no effect."""
    if not path.exists():
        return
    for line in path.read_bytes().splitlines(keepends=True):
        if line.endswith(b"\n"):
            yield orjson.loads(line)
