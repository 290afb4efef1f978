"""A proxy that reads Kafka's protocol: it names itself as the broker, and can cut between a request and its answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from enum import StrEnum

from tests.chaos.proxy import Link, Proxy, Sides

_LENGTH = 4
_PRODUCE, _METADATA = 0, 3


class ProduceCut(StrEnum):
    """What happens to one Produce request."""

    BEFORE = "reset before the broker has it"
    UNACKNOWLEDGED = "written, reset before the acknowledgement"
    SILENT = "half open: written, the acknowledgement vanishes"


class KafkaProxy(Proxy):
    """Every client that finds its broker by this proxy stays behind it: answers about the cluster name the proxy.

    Asks `choose` at every Produce what is to happen to it; None lets it pass.
    """

    def __init__(self, bootstrap: str, choose: Callable[[], ProduceCut | None] = lambda: None) -> None:
        host, _, port = bootstrap.rpartition(":")
        super().__init__(host, int(port))
        self.choose = choose
        self.cuts: Counter[ProduceCut] = Counter()
        self.requests: Counter[int] = Counter()
        """By the protocol's number of the request."""

    def link(self, client: Sides, server: Sides | None) -> Link:
        """A link whose requests and answers are read."""
        return _KafkaLink(self, client, server)

    def renamed(self, answer: bytes) -> bytes:
        """An answer about the cluster with the proxy's port in the broker's place."""
        host, port = self.target
        return answer.replace(host.encode() + port.to_bytes(4), host.encode() + self.port.to_bytes(4))


class _KafkaLink(Link):
    def __init__(self, kafka: KafkaProxy, client: Sides, server: Sides | None) -> None:
        super().__init__(kafka, client, server)
        self.kafka = kafka
        self._asked: dict[bytes, int] = {}
        self._cuts: dict[bytes, ProduceCut] = {}

    async def up(self) -> None:
        async for frame in _frames(self.client[0]):
            kind, number = int.from_bytes(frame[4:6]), frame[8:12]
            self.kafka.requests[kind] += 1
            self._asked[number] = kind
            cut = self.kafka.choose() if kind == _PRODUCE else None
            if cut is not None:
                self.kafka.cuts[cut] += 1
                self._cuts[number] = cut
            if cut is ProduceCut.BEFORE:
                self.reset()
                return
            await self.send_up(frame)
        await self.linger(self.silent_up)

    async def down(self) -> None:
        assert self.server is not None
        async for frame in _frames(self.server[0]):
            number = frame[4:8]
            cut = self._cuts.pop(number, None)
            if cut is ProduceCut.UNACKNOWLEDGED:
                self.reset()
                return
            self.silent_down |= cut is ProduceCut.SILENT
            is_metadata = self._asked.pop(number, None) == _METADATA
            await self.send_down(self.kafka.renamed(frame) if is_metadata else frame)
        await self.linger(self.silent_down)


async def _frames(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    """Whole requests or answers with their length, until the end of the stream."""
    while head := await reader.read(1):
        head += await reader.readexactly(_LENGTH - 1)
        yield head + await reader.readexactly(int.from_bytes(head))
