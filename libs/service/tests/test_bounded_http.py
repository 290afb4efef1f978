"""A connection over which a request does not come to be is let go, and no other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from time import monotonic

import pytest
from starlette.types import Message, Receive, Scope, Send

from libs.service import bounded_http
from libs.service.server import make_server

pytestmark = pytest.mark.anyio

DEADLINE_S = 30.0
HALF = b"GET / HTTP/1.1\r\nhost: here\r\nx-more"
REST = b": 1\r\n\r\n"
WHOLE = HALF + REST


class Answering:
    """An application that answers when `may_answer` is set."""

    def __init__(self) -> None:
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.asked = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the lifespan."""
        if scope["type"] == "lifespan":
            for stage in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{stage}.complete"})
            return
        self.asked.set()
        await self.may_answer.wait()
        head: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]}
        await send(head)
        await send({"type": "http.response.body", "body": b"ok"})


class Caller:
    """One end of a connection, byte by byte."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, data: bytes) -> None:
        """Send some bytes, which may be lost on a connection that the server has closed."""
        self._writer.write(data)
        with suppress(ConnectionError):
            await self._writer.drain()

    async def status(self) -> int:
        """The status of the next answer, whose body has been read."""
        async with asyncio.timeout(DEADLINE_S):
            line = await self._reader.readuntil(b"\r\n")
            await self._reader.readuntil(b"\r\n\r\n")
            status = int(line.split()[1])
            if status == 200:
                assert await self._reader.readexactly(2) == b"ok"
            return status

    async def rest(self) -> bytes:
        """Everything until the server closes the connection."""
        async with asyncio.timeout(DEADLINE_S):
            return await self._reader.read()

    @property
    def is_closed(self) -> bool:
        """Whether the server has closed the connection."""
        return self._reader.at_eof()

    def close(self) -> None:
        """Hang up."""
        self._writer.close()


@asynccontextmanager
async def called(app: Answering) -> AsyncIterator[Caller]:
    """A connection to a server with this application."""
    server = make_server(app, "127.0.0.1", 0)
    task = asyncio.create_task(server._serve())
    try:
        deadline = monotonic() + DEADLINE_S
        while not server.started:
            assert monotonic() < deadline and not task.done(), "the server does not start"
            await asyncio.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        caller = Caller(*await asyncio.open_connection("127.0.0.1", port))
        try:
            yield caller
        finally:
            caller.close()
    finally:
        server.should_exit = True
        await task


@pytest.fixture
def head_s(monkeypatch: pytest.MonkeyPatch) -> float:
    """The time for a head, short enough to wait for."""
    monkeypatch.setattr(bounded_http, "HEAD_S", 0.3)
    return 0.3


async def test_half_a_head_is_answered_408(head_s: float) -> None:
    async with called(Answering()) as caller:
        await caller.send(HALF)
        assert await caller.status() == 408
        assert await caller.rest() == b""


async def test_a_head_that_drips_has_no_more_time(head_s: float) -> None:
    """However often something of it comes."""
    async with called(Answering()) as caller:
        await caller.send(HALF)
        end = asyncio.create_task(caller.rest())
        while not end.done():
            await caller.send(b"x")
            await asyncio.wait([end], timeout=head_s / 10)
        # What was sent to a connection that has just been closed resets it.
        assert isinstance(end.exception(), ConnectionError) or end.result().startswith(b"HTTP/1.1 408 ")


async def test_a_connection_over_which_nothing_comes_is_closed(head_s: float) -> None:
    async with called(Answering()) as caller:
        assert await caller.rest() == b""


async def test_blank_lines_after_an_answer_keep_no_connection(head_s: float) -> None:
    async with called(Answering()) as caller:
        await caller.send(WHOLE)
        assert await caller.status() == 200
        await caller.send(b"\r\n")
        assert await caller.rest() == b""


async def test_a_head_in_pieces_and_a_connection_at_rest_are_no_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bounded_http, "HEAD_S", 2.0)
    async with called(Answering()) as caller:
        for _ in range(2):
            await caller.send(HALF)
            await asyncio.sleep(0.1)
            await caller.send(REST)
            assert await caller.status() == 200
            await asyncio.sleep(2.5)
        assert not caller.is_closed


async def test_an_answer_that_is_due_is_not_cut_off(head_s: float) -> None:
    """Half of the next request has come with the first; its time is over before the first is answered."""
    app = Answering()
    app.may_answer.clear()
    async with called(app) as caller:
        await caller.send(WHOLE + HALF)
        await app.asked.wait()
        await asyncio.sleep(3 * head_s)
        app.may_answer.set()
        assert await caller.status() == 200
        assert await caller.status() == 408
        assert await caller.rest() == b""
