"""A thousand readers of one app's stream: how long after its commit the last of them has an event, and how many a
second are told. One process reads all of them, beside the ledger on the same machine."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from statistics import median, quantiles

import httpx

from bench.world import ASSET, BenchError, Ledger
from deploy.embedded.ports import LOOPBACK

LISTENERS = 1000
SINGLE = 30
"""Charges that are timed one by one."""
TOGETHER = 300
"""Charges that are sent as fast as they are answered."""
AT_ONCE = 16
WAIT_S = 60.0
_MARK = b"event: ledger.credits_charged.v1"


@dataclass(frozen=True, slots=True)
class Told:
    """Milliseconds from a charge's answer to the last reader (median and 95th percentile); events told a second."""

    listeners: int
    last_ms: float
    last_p95_ms: float
    per_s: float


class _Reader(asyncio.Protocol):
    """Counts the events of one stream."""

    def __init__(self, request: bytes, crowd: _Crowd) -> None:
        self._request = request
        self._crowd = crowd
        self._rest = b""
        self._count = 0
        self.open = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.Transport):
            transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        text = self._rest + data
        if not self.open.is_set() and b"id: " in text:
            self.open.set()
        found = text.count(_MARK)
        self._rest = text[-len(_MARK) + 1 :]
        if found:
            self._count += found
            self._crowd.heard(self._count, found)


class _Crowd:
    """All readers: an event has arrived when the last of them has it."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._have: dict[int, int] = {}
        self.arrived: dict[int, float] = {}
        self._changed = asyncio.Event()

    def heard(self, count: int, more: int) -> None:
        """A reader has `count` events now, `more` than before."""
        for each in range(count - more + 1, count + 1):
            self._have[each] = self._have.get(each, 0) + 1
            if self._have[each] == self._size:
                self.arrived[each] = time.perf_counter()
                self._changed.set()

    async def until(self, count: int) -> float:
        """When the last reader had `count` events."""
        async with asyncio.timeout(WAIT_S):
            while count not in self.arrived:
                self._changed.clear()
                await self._changed.wait()
        return self.arrived[count]


def measure(ledger: Ledger, reader_token: str, token: str, run: str) -> Told:
    """The figures of a ledger that serves, whose accounts have credits."""
    return asyncio.run(_measure(ledger, reader_token, token, run))


async def _measure(ledger: Ledger, reader_token: str, token: str, run: str) -> Told:
    loop = asyncio.get_running_loop()
    crowd = _Crowd(LISTENERS)
    head = f"GET /v1/stream HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {reader_token}\r\n\r\n".encode()
    readers, transports = [], []
    for _ in range(LISTENERS):
        transport, reader = await loop.create_connection(lambda: _Reader(head, crowd), LOOPBACK, ledger.port)
        readers.append(reader)
        transports.append(transport)
    async with asyncio.timeout(WAIT_S):
        await asyncio.gather(*(reader.open.wait() for reader in readers))
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(base_url=ledger.url, headers=headers, timeout=WAIT_S) as http:

        async def charge(number: int) -> None:
            body = {"user": ledger.users[number % len(ledger.users)], "amount": "1", "asset": ASSET}
            answer = await http.post("/v1/charges", json=body, headers={"Idempotency-Key": f"{run}-{number}"})
            if answer.status_code != httpx.codes.CREATED:
                raise BenchError(f"a charge was refused: {answer.text}")

        took = []
        for number in range(SINGLE):
            await charge(number)
            answered = time.perf_counter()
            took.append(max(await crowd.until(number + 1) - answered, 0.0) * 1000)
        began = time.perf_counter()
        numbers = iter(range(SINGLE, SINGLE + TOGETHER))

        async def worker() -> None:
            for number in numbers:
                await charge(number)

        await asyncio.gather(*(worker() for _ in range(AT_ONCE)))
        ended = await crowd.until(SINGLE + TOGETHER)
    for transport in transports:
        transport.abort()
    return Told(LISTENERS, median(took), quantiles(took, n=20)[-1], TOGETHER * LISTENERS / (ended - began))
