"""Server-sent events: answers that go on, as the HTML standard has them (section 9.2, "Server-sent events").

What is sent is bytes that :func:`event` made. A stream that must end says why in its last event: raise
:class:`StreamEnded` where it is made. A reader that takes nothing for `stall_s` seconds is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import orjson
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE = b": keep-alive\n\n"
"""A comment: readers pass over it, proxies see that the connection lives."""


class StreamEnded(Exception):
    """Why a stream ends; `code` is the name of its last event, `detail` says it to people."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(f"{code}: {detail}")
        self.code = code
        self.detail = detail


def event(data: bytes, *, name: str, id: str | None = None) -> bytes:  # noqa: A002 - the field is called that
    """One event; `data` is JSON, which has no line breaks. Its `id` is what `Last-Event-ID` resumes after."""
    place = b"" if id is None else b"id: %b\n" % id.encode()
    return b"%bevent: %b\ndata: %b\n\n" % (place, name.encode(), data)


def place(id: str) -> bytes:  # noqa: A002 - the field is called that
    """An `id` alone: no event for the reader, who resumes after it all the same."""
    return b"id: %b\n\n" % id.encode()


def retry(milliseconds: int) -> bytes:
    """How long a reader should wait before it connects again."""
    return b"retry: %d\n\n" % milliseconds


def last_event(code: str, detail: str) -> bytes:
    """The event after which a stream ends."""
    return event(orjson.dumps({"code": code, "detail": detail}), name=code)


class EventStream(StreamingResponse):
    """The answer that sends `events` one after another.

    `released` is called when it ends, however it ends, with whether the reader had stalled.
    """

    def __init__(self, events: AsyncIterator[bytes], *, stall_s: float, released: Callable[[bool], None]) -> None:
        # Proxies must not collect events before they pass them on; nginx is told by a header of its own.
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type=MEDIA_TYPE, headers=headers)
        self._stall_s = stall_s
        self._released = released
        self._stalled = False

    async def stream_response(self, send: Send) -> None:
        """Send until the events end or the reader takes no more; then nothing is left to wait for."""
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        async for chunk in self.body_iterator:
            try:
                async with asyncio.timeout(self._stall_s):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
            except TimeoutError:
                self._stalled = True
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One stream."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._released(self._stalled)
