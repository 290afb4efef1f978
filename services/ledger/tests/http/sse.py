"""A reader of event streams."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import orjson

from services.ledger.tests.http.client import DEADLINE_S, Api


@dataclass(slots=True)
class Event:
    """One event."""

    id: str | None
    name: str
    data: Any


@dataclass
class Reader:
    """An open stream; `last_id` is what a reader would resume with."""

    response: httpx.Response
    comments: int = 0
    retry_ms: int | None = None
    last_id: str | None = None
    events: AsyncIterator[Event] = field(init=False)

    def __post_init__(self) -> None:
        self.events = self._read()

    async def _read(self) -> AsyncIterator[Event]:
        name, data, own = "", "", None
        async for line in self.response.aiter_lines():
            kind, _, value = line.partition(": ")
            if line.startswith(":"):
                self.comments += 1
            elif kind == "retry":
                self.retry_ms = int(value)
            elif kind == "id":
                self.last_id = own = value
            elif kind == "event":
                name = value
            elif kind == "data":
                data = value
            elif data:
                yield Event(own, name, orjson.loads(data))
                name, data, own = "", "", None

    async def next(self) -> Event:
        """The next event."""
        async with asyncio.timeout(DEADLINE_S):
            return await anext(self.events)

    async def take(self, count: int) -> list[Event]:
        """So many events."""
        return [await self.next() for _ in range(count)]

    async def until_resumable(self) -> str:
        """The first id, which a stream of an app sends before any event."""
        task = asyncio.ensure_future(anext(self.events))
        async with asyncio.timeout(DEADLINE_S):
            while self.last_id is None:
                assert not task.done()
                await asyncio.sleep(0.005)
        task.cancel()
        return self.last_id


@asynccontextmanager
async def listening(api: Api, path: str, after: str | None = None, **params: str) -> AsyncIterator[Reader]:
    """A stream that is open."""
    headers = {"Authorization": f"Bearer {api.token}", **({} if after is None else {"Last-Event-ID": after})}
    if api.role == "system":
        headers["Tallystick-App"] = api.of_app
    async with api.http.stream("GET", f"/v1{path}", headers=headers, params=params, timeout=None) as response:
        assert response.status_code == 200, await response.aread()
        assert response.headers["content-type"].startswith("text/event-stream")
        yield Reader(response)
