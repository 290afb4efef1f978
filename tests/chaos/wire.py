"""A proxy that reads PostgreSQL's protocol and cuts a link at a chosen point between an append and its answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from enum import StrEnum

from services.ledger.store.append import APPEND
from tests.chaos.proxy import Link, Proxy, Sides
from tests.plugins.postgres import Database

_MARK = APPEND.partition("(")[0].encode()
_LENGTH = 4


class Cut(StrEnum):
    """What happens to one append. Its transaction is one statement: it commits at Sync, answered by ReadyForQuery."""

    BEFORE = "reset before the server has any of it"
    HALF_SENT = "reset after Bind and Execute, before Sync"
    RACING = "all of it is sent and the link reset at once"
    COMMITTED = "committed, reset before any of the answer"
    HALF_ANSWERED = "committed, reset between CommandComplete and ReadyForQuery"
    SLOW = "committed, the answer held back"
    SILENT_UP = "half open: it never reaches the server"
    SILENT_DOWN = "half open: committed, the answer vanishes"


SURE_TO_COMMIT = frozenset({Cut.COMMITTED, Cut.HALF_ANSWERED, Cut.SLOW, Cut.SILENT_DOWN})
LOST_REPLIES = SURE_TO_COMMIT - {Cut.SLOW}
"""What leaves the writer to find out by itself that its batch was committed."""

SILENT = frozenset({Cut.SILENT_UP, Cut.SILENT_DOWN})


class WireProxy(Proxy):
    """Asks `choose` at every append what is to happen to it; None lets it pass."""

    def __init__(self, host: str, port: int, choose: Callable[[], Cut | None] = lambda: None) -> None:
        super().__init__(host, port)
        self.choose = choose
        self.slow_s = 1.0
        self.appends = 0
        self.cuts: Counter[Cut] = Counter()
        self.on_cut: Callable[[Cut], None] = lambda _: None

    def link(self, client: Sides, server: Sides | None) -> Link:
        """A link whose messages are read."""
        return _WireLink(self, client, server)

    def before(self, database: Database) -> Database:
        """The database as it is reached through the proxy."""
        return replace(database, admin=replace(database.admin, port=self.port))


class _WireLink(Link):
    """Knows which prepared statement is the append, and where in the conversation it stands."""

    def __init__(self, wire: WireProxy, client: Sides, server: Sides | None) -> None:
        super().__init__(wire, client, server)
        self.wire = wire
        self._appends: set[bytes] = set()
        self._cut: Cut | None = None

    async def up(self) -> None:
        assert self.server is not None
        reader = self.client[0]
        # The first message has no type: a start-up, or a request to cancel what another connection is doing.
        length = await reader.readexactly(_LENGTH)
        await self.send_up(length + await reader.readexactly(int.from_bytes(length) - _LENGTH))
        async for kind, message in _messages(reader):
            if kind == b"P":
                name, _, rest = message[5:].partition(b"\0")
                (self._appends.add if rest.startswith(_MARK) else self._appends.discard)(name)
            elif kind == b"B" and message[5:].split(b"\0", 2)[1] in self._appends:
                self._begin()
            await self._pass_up(kind, message)
        await self.linger(self.silent_up)

    def _begin(self) -> None:
        self.wire.appends += 1
        self._cut = self.wire.choose()
        if self._cut is not None:
            self.wire.cuts[self._cut] += 1
            self.wire.on_cut(self._cut)
        if self._cut is Cut.BEFORE:
            raise _Reset
        self.silent_up |= self._cut is Cut.SILENT_UP
        self.silent_down |= self._cut is Cut.SILENT_DOWN

    async def _pass_up(self, kind: bytes, message: bytes) -> None:
        if kind == b"S" and self._cut is Cut.HALF_SENT:
            raise _Reset
        await self.send_up(message)
        if kind == b"S" and self._cut is Cut.RACING:
            raise _Reset

    async def down(self) -> None:
        assert self.server is not None
        held: list[bytes] = []
        async for kind, message in _messages(self.server[0]):
            if self._cut in (Cut.COMMITTED, Cut.HALF_ANSWERED):
                # The server says ReadyForQuery after the commit; until then nothing is known.
                if kind == b"Z":
                    if self._cut is Cut.HALF_ANSWERED:
                        await self.send_down(b"".join(held))
                    raise _Reset
                held.append(message)
                continue
            if kind == b"Z" and self._cut is Cut.SLOW:
                self._cut = None
                await asyncio.sleep(self.wire.slow_s)
            await self.send_down(message)
        await self.linger(self.silent_down)

    async def run(self) -> None:
        if self.server is None:
            await super().run()
            return
        ways = [asyncio.create_task(self.up()), asyncio.create_task(self.down())]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            results = await asyncio.gather(*ways, return_exceptions=True)
        if any(isinstance(result, _Reset) for result in results):
            self.reset()


class _Reset(ConnectionResetError):
    """The link is to be reset here."""


async def _messages(reader: asyncio.StreamReader) -> AsyncIterator[tuple[bytes, bytes]]:
    """Type and whole bytes of each message, until the end of the stream."""
    while kind := await reader.read(1):
        length = await reader.readexactly(_LENGTH)
        body = await reader.readexactly(int.from_bytes(length) - _LENGTH)
        yield kind, kind + length + body
