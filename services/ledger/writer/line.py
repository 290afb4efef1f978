"""The line in which requests wait; its length counts commands, of which a request may hold several."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from services.ledger.requests import Request


class Line:
    """A deque of requests, as far as the writer needs one."""

    __slots__ = ("_requests", "_size")

    def __init__(self) -> None:
        self._requests: deque[Request] = deque()
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Request]:
        return iter(self._requests)

    def __getitem__(self, place: int) -> Request:
        return self._requests[place]

    def append(self, request: Request) -> None:
        """At the end."""
        self._requests.append(request)
        self._size += request.size

    def appendleft(self, request: Request) -> None:
        """At the front."""
        self._requests.appendleft(request)
        self._size += request.size

    def extendleft(self, requests: Iterable[Request]) -> None:
        """One after the other at the front, so that the last of them comes first."""
        for request in requests:
            self.appendleft(request)

    def popleft(self) -> Request:
        """The first, which is taken out."""
        request = self._requests.popleft()
        self._size -= request.size
        return request

    def clear(self) -> None:
        """Take out all."""
        self._requests.clear()
        self._size = 0
