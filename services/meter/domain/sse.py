"""Server-sent events as they pass: whole events, byte for byte, out of whatever pieces the network makes of them."""

from __future__ import annotations

import re

EVENT_BYTES_MAX = 4 * 1024 * 1024
DONE = b"[DONE]"
"""The data of the event that ends a stream of the OpenAI API."""
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_LINE = re.compile(rb"\r\n|\n|\r")


class EventTooLong(Exception):
    """A stream went on for :data:`EVENT_BYTES_MAX` bytes without ending an event."""


class EventSplitter:
    """Cuts a stream into events; each keeps the empty line that ends it."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The events that are complete with this piece. Raises :class:`EventTooLong`."""
        rest, events, start = self._rest + data, [], 0
        for end in _END.finditer(rest):
            events.append(rest[start : end.end()])
            start = end.end()
        self._rest = rest[start:]
        if len(self._rest) > EVENT_BYTES_MAX:
            raise EventTooLong
        return events


def data_of(event: bytes) -> bytes:
    """The data of an event, its lines joined; empty for a comment."""
    lines = (line[5:].removeprefix(b" ") for line in _LINE.split(event) if line.startswith(b"data:"))
    return b"\n".join(lines)


def event_of(data: bytes, name: str | None = None) -> bytes:
    """An event with this data, of one line, and this name if it has one."""
    named = b"" if name is None else b"event: " + name.encode() + b"\n"
    return named + b"data: " + data + b"\n\n"
