"""What the metering proxy adds to the first token of a streamed answer: the same API asked directly and through it.

The API is a server here that answers at once, so that nothing but the proxy's own work, the ledger's and the network's
of this machine is in the difference. One call after another, the two sides in turns.
"""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import httpx

from bench.world import ROOT, START_S, BenchError, Ledger, World
from deploy.embedded.child import Child
from deploy.embedded.ports import LOOPBACK, free_port

MODEL = "acme/bench"
USER = "metered"
CALLS = 300
TURN = 25
"""Calls to one side before it is the other's turn."""
TOKENS = 8
CONFIG: dict[str, Any] = {
    "assets": {"credits": {"scale": 2}},
    "prices": {"models": {MODEL: {"per": 1, "input": "0.01", "output": "0.02"}}},
}
BODY = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": "Say something. " * 20}]}


@dataclass(slots=True)
class FirstTokens:
    """Milliseconds until the first token, by side, and until the end of the answer."""

    direct_ms: list[float] = field(default_factory=list)
    through_ms: list[float] = field(default_factory=list)

    def added_ms(self, share: float) -> float:
        """How much later a share of the proxied calls has its first token than the median of the direct ones."""
        return _at(self.through_ms, share) - median(self.direct_ms)


def measure(world: World, ledger: Ledger, tell: Callable[[str], None], calls: int = CALLS) -> FirstTokens:
    """Ask both ways, after a turn of each that does not count."""
    ledger.configure(CONFIG)
    tell(f"{calls} streamed calls, directly and through the metering proxy")
    return asyncio.run(_measure(world, ledger.url, calls))


async def _measure(world: World, ledger_url: str, calls: int) -> FirstTokens:
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(_upstream())
        proxy = await stack.enter_async_context(_proxy(world, ledger_url, upstream))
        http = await stack.enter_async_context(httpx.AsyncClient(timeout=START_S))
        grant = {"user": USER, "amount": "100000000", "source": "paid"}
        funded = {"Authorization": f"Bearer {world.token('service')}", "Idempotency-Key": world.run_name()}
        (await http.post(f"{ledger_url}/v1/grants", json=grant, headers=funded)).raise_for_status()
        headers = {"Authorization": f"Bearer {world.token('service')}", "Tallystick-User": USER}
        found = FirstTokens()
        for turn in range(-1, calls // TURN):
            for url, times in ((upstream, found.direct_ms), (proxy, found.through_ms)):
                taken = [await _first_token(http, url, headers) for _ in range(TURN)]
                if turn >= 0:
                    times.extend(taken)
        return found


async def _first_token(http: httpx.AsyncClient, url: str, headers: dict[str, str]) -> float:
    """Ask, read all of the answer, and tell how many milliseconds its first token took."""
    began, first = time.perf_counter(), None
    async with http.stream("POST", f"{url}/v1/chat/completions", json=BODY, headers=headers) as answer:
        if answer.status_code != 200:
            raise BenchError(f"{url} answered {answer.status_code}: {(await answer.aread()).decode()}")
        async for line in answer.aiter_lines():
            if first is None and '"word"' in line:
                first = time.perf_counter()
    if first is None:
        raise BenchError(f"{url} answered without a token")
    return (first - began) * 1000


def _at(values: list[float], share: float) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * share))]


def _answer() -> bytes:
    chunks: list[Any] = [{"choices": [{"index": 0, "delta": {"content": "word"}}]}] * TOKENS
    chunks.append({"choices": [], "usage": {"prompt_tokens": 80, "completion_tokens": TOKENS}})
    events = b"".join(b"data: " + json.dumps(chunk).encode() + b"\n\n" for chunk in chunks) + b"data: [DONE]\n\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(events)}\r\n\r\n"
    return head.encode() + events


@asynccontextmanager
async def _upstream() -> AsyncIterator[str]:
    """An API that says a few words at once, as a process of its own."""
    command = [sys.executable, "-m", "bench.trivial"]
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # noqa: ASYNC220
    assert process.stdin is not None
    assert process.stdout is not None
    answer = _answer()
    process.stdin.write(b"%d\n%b" % (len(answer), answer))
    process.stdin.flush()
    try:
        yield f"http://{LOOPBACK}:{int(process.stdout.readline())}"
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


@asynccontextmanager
async def _proxy(world: World, ledger_url: str, upstream: str) -> AsyncIterator[str]:
    """The proxy, with its usual settings."""
    port, log = free_port(), Path(world.data) / "meter.log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")},
        "TALLYSTICK_DATA": str(world.data),
        "TALLYSTICK_LOG_LEVEL": "warning",
        "TALLYSTICK_LEDGER_URL": ledger_url,
        "TALLYSTICK_METER_UPSTREAM": upstream,
        "TALLYSTICK_METER_PORT": str(port),
    }
    with log.open("ab") as output:
        child = Child([sys.executable, "-m", "services.meter"], env=environment, cwd=ROOT, output=output)
    try:
        await _ready(f"http://{LOOPBACK}:{port}", child, log)
        yield f"http://{LOOPBACK}:{port}"
    finally:
        child.stop()


async def _ready(url: str, child: Child, log: Path) -> None:
    deadline = time.monotonic() + START_S
    async with httpx.AsyncClient() as http:
        while True:
            try:
                (await http.get(f"{url}/readyz")).raise_for_status()
            except httpx.HTTPError:
                if child.poll() is not None or time.monotonic() > deadline:
                    raise BenchError(f"the metering proxy did not start: {log}") from None
                await asyncio.sleep(0.05)
            else:
                return
