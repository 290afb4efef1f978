"""A TCP proxy that spoils links: slow, cut, refused, or half open, where bytes vanish and nobody is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Iterable
from typing import Self

LOOPBACK = "127.0.0.1"
CHUNK = 1 << 16
_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER with no time: closing the socket sends RST."""

Sides = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Link:
    """One connection through the proxy. Once bytes of a direction have vanished, that direction stays silent."""

    def __init__(self, proxy: Proxy, client: Sides, server: Sides | None) -> None:
        self.proxy = proxy
        self.client, self.server = client, server
        self.silent_up = proxy.silent_up
        self.silent_down = proxy.silent_down

    async def run(self) -> None:
        """Carry bytes both ways until one side ends."""
        if self.server is None:
            # Nobody answers, and nobody closes.
            await _drain(self.client[0])
            return
        ways = [asyncio.create_task(self.up()), asyncio.create_task(self.down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def up(self) -> None:
        """From the client to the server."""
        assert self.server is not None
        while data := await self.client[0].read(CHUNK):
            await self.send_up(data)
        await self.linger(self.silent_up)

    async def down(self) -> None:
        """From the server to the client."""
        assert self.server is not None
        while data := await self.server[0].read(CHUNK):
            await self.send_down(data)
        await self.linger(self.silent_down)

    async def send_up(self, data: bytes) -> None:
        """Pass bytes on to the server, as the link is now."""
        assert self.server is not None
        await self.proxy.delay(len(data))
        if not self.silent_up:
            self.server[1].write(data)
            await self.server[1].drain()

    async def send_down(self, data: bytes) -> None:
        """Pass bytes on to the client, as the link is now."""
        await self.proxy.delay(len(data))
        if not self.silent_down:
            self.client[1].write(data)
            await self.client[1].drain()

    @staticmethod
    async def linger(silent: bool) -> None:
        """The end of a side is news that a silent link does not carry."""
        if silent:
            await asyncio.Event().wait()

    def reset(self) -> None:
        """Both sides get RST."""
        for side in (self.client, self.server):
            if side is not None:
                found: socket.socket | None = side[1].get_extra_info("socket")
                if found is not None and found.fileno() >= 0:
                    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                side[1].transport.abort()

    def close(self) -> None:
        """Let go of both sockets, once what is on its way has been sent."""
        for side in (self.client, self.server):
            if side is not None:
                side[1].close()


class Proxy:
    """Listens on a port of its own and connects to `host`:`port`. Its settings hold for open links and new ones.

    `latency_s` delays every piece of data, `bytes_per_s` bounds each direction of each link, `refusing` resets new
    connections, `silent_up` and `silent_down` make new links swallow what goes to or comes from the server.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.latency_s = 0.0
        self.bytes_per_s: float | None = None
        self.refusing = False
        self.silent_up = False
        self.silent_down = False
        self.links: set[Link] = set()
        self.accepted = 0
        self.port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, LOOPBACK, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.reset()
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)

    @property
    def address(self) -> str:
        """The proxy's own ``host:port``."""
        return f"{LOOPBACK}:{self.port}"

    def heal(self) -> None:
        """New links are good again, and open ones fast. A link that has lost bytes stays lost."""
        self.latency_s, self.bytes_per_s = 0.0, None
        self.refusing = self.silent_up = self.silent_down = False

    def silence(self, *, up: bool = True, down: bool = True) -> None:
        """Make every link half open, and those to come: what is sent vanishes, the sockets stay."""
        self.silent_up, self.silent_down = up, down
        for link in self.links:
            link.silent_up |= up
            link.silent_down |= down

    def reset(self, links: Iterable[Link] | None = None) -> int:
        """Cut links by RST, all unless some are named; how many."""
        cut = list(self.links if links is None else links)
        for link in cut:
            link.reset()
        return len(cut)

    async def delay(self, count: int) -> None:
        """What `count` bytes cost on this link."""
        seconds = self.latency_s + (0.0 if self.bytes_per_s is None else count / self.bytes_per_s)
        if seconds:
            await asyncio.sleep(seconds)

    def link(self, client: Sides, server: Sides | None) -> Link:
        """The connection's handling; protocols bring their own."""
        return Link(self, client, server)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self.accepted += 1
        link: Link | None = None
        try:
            server = None
            if not (self.silent_up or self.refusing):
                server = await asyncio.open_connection(*self.target)
            link = self.link((reader, writer), server)
            self.links.add(link)
            if self.refusing:
                link.reset()
            await link.run()
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # One side has gone, or the proxy ends. A cancellation of `__aexit__` that were raised on would be reported
            # as an error of nobody's.
            writer.transport.abort()
        finally:
            if link is not None:
                self.links.discard(link)
                link.close()


async def _drain(reader: asyncio.StreamReader) -> None:
    while await reader.read(CHUNK):
        pass
    await asyncio.Event().wait()
