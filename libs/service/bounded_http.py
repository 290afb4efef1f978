"""HTTP/1.1 as uvicorn speaks it with httptools, with bounds on what comes before a request's body.

The parser itself takes headers and addresses of any length, so that one caller could fill the memory; and uvicorn waits
for the end of a request's head for ever, so that one caller could hold all the connections that there may be.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 65_536
"""Bytes of a request's line and headers, besides the chunk that they begin in, before the connection is closed."""
HEAD_S = 20.0
"""Seconds from the beginning of a connection, or of a request that does not come at once, to the end of its headers."""
_TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
"""RFC 9110, section 15.5.9."""


class BoundedHttp(HttpToolsProtocol):
    """A connection that is closed when a request's head does not come to an end: after a 400, or 408 for its time."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._began = False
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Wait for a request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is waited for any more."""
        self._have_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._began = False
        super().data_received(data)
        if self._in_head and not self._began:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._in_head = False
                self.send_400_response("The line and the headers of the request are too long.")
        # What came has ended the time for which uvicorn lets a connection be idle.
        if self._in_head or self._is_idle():
            self._await_head()

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = self._began = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The body begins, or the request is whole."""
        self._in_head = False
        self._have_head()
        super().on_headers_complete()

    def _is_idle(self) -> bool:
        """Whether no answer is on its way."""
        return self.cycle is None or self.cycle.response_complete

    def _await_head(self) -> None:
        """The time for a head goes on from where it began, however much of it has come."""
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(HEAD_S, self._too_slow)

    def _have_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _too_slow(self) -> None:
        self._head_timer = None
        if not self._is_idle():
            # The head of another request, sent before the answer to the one before it: that one is still due.
            self._await_head()
            return
        if self._in_head:
            self.transport.write(_TOO_SLOW)
        self.transport.close()
