"""HTTP/1.1 as uvicorn speaks it with httptools, with a bound on what comes before a request's body.

The parser itself takes headers and addresses of any length, so that one caller could fill the memory.
"""

from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES_MAX = 65_536
"""Bytes of a request's line and headers, besides the chunk that they begin in, before the connection is closed."""


class BoundedHttp(HttpToolsProtocol):
    """A connection that is answered 400 and closed when a request's head does not come to an end."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._in_head = False
        self._began = False
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        """Take what has come."""
        self._began = False
        super().data_received(data)
        if self._in_head and not self._began:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._in_head = False
                self.send_400_response("The line and the headers of the request are too long.")

    def on_message_begin(self) -> None:
        """A request begins."""
        self._in_head = self._began = True
        self._head_bytes = 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The body begins, or the request is whole."""
        self._in_head = False
        super().on_headers_complete()
