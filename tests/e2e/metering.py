"""A metering proxy beside the suite, and somebody who calls models through it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
from tallystick import AsyncClient

from deploy.embedded.child import Child
from deploy.embedded.ports import free_port
from tests.e2e.openai_standin import KEY, WORD, StandIn
from tests.e2e.suite import START_S, Suite
from tests.metrics import metric_of
from tests.waiting import eventually

APP = "metered"
MODEL = "acme/standin"
CONFIG = {
    "assets": {"credits": {"scale": 2, "default": True}},
    "prices": {"models": {MODEL: {"per": 1, "input": "0.01", "cached": "0.005", "output": "0.02"}}},
}
DEADLINE_S = 60.0


@dataclass(slots=True)
class Answered:
    """What a caller got: the status, the words, why it ended, and the usage if it was told."""

    status: int
    words: int = 0
    finish: str | None = None
    usage: dict[str, Any] | None = None
    done: bool = False
    error: dict[str, Any] = field(default_factory=dict)
    call: str | None = None


@dataclass(slots=True)
class Meter:
    """A proxy in front of a stand-in; `settings` are its own, without their prefix."""

    suite: Suite
    upstream: StandIn
    directory: Path
    settings: dict[str, str] = field(default_factory=dict)
    port: int = field(default_factory=free_port)
    child: Child | None = None

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self, failpoints: str = "") -> None:
        """Start it, and wait until it is ready."""
        environment = {
            **self.suite.environment(),
            "TALLYSTICK_METER_UPSTREAM": self.upstream.url,
            "TALLYSTICK_METER_UPSTREAM_KEY": KEY,
            "TALLYSTICK_METER_PORT": str(self.port),
            "TALLYSTICK_METER_JOURNAL": str(self.directory / "journal"),
            "TALLYSTICK_FAILPOINTS": failpoints,
            **{f"TALLYSTICK_METER_{name}": value for name, value in self.settings.items()},
        }
        with (self.directory / "log").open("ab") as log:
            self.child = Child(
                [sys.executable, "-m", "services.meter"], env=environment, output=log, owner_pid=os.getpid()
            )
        await eventually(self._ready, "the proxy is ready", START_S)

    async def _ready(self) -> bool:
        assert self.child is not None
        assert self.child.poll() is None, (self.directory / "log").read_text()
        try:
            async with httpx.AsyncClient() as http:
                return (await http.get(f"{self.url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False

    async def died(self) -> None:
        """Wait until it has ended by itself."""
        child = self.child
        assert child is not None

        async def ended() -> bool:
            return child.poll() is not None

        await eventually(ended, "the proxy has ended")
        await asyncio.to_thread(child.stop)

    async def kill(self) -> None:
        """End it as the system would when memory is short."""
        assert self.child is not None
        os.kill(self.child.pid, signal.SIGKILL)
        await self.died()

    async def stop(self) -> None:
        """Tell it to stop, and wait."""
        if self.child is not None:
            await asyncio.to_thread(self.child.stop)

    def token(self, user: str | None = None) -> str:
        """A token of the app's backend, or of a user of its own."""
        role = "service" if user is None else "user"
        return self.suite.token(APP, role, sub=user or "backend", audience="meter")

    async def chat(
        self,
        user: str,
        *,
        stream: bool = True,
        path: str = "/v1/chat/completions",
        leaves_at: int | None = None,
        **wish: Any,
    ) -> Answered:
        """Ask for words as this user; go away after `leaves_at` of them. `body_…` are fields of the request."""
        body: dict[str, Any] = {"model": MODEL, "stream": stream}
        body |= {name.removeprefix("body_"): wish.pop(name) for name in list(wish) if name.startswith("body_")}
        content = json.dumps(wish)
        if "chat" in path:
            body["messages"] = [{"role": "user", "content": content}]
        else:
            body["input" if "responses" in path else "prompt"] = content
        headers = {"Authorization": f"Bearer {self.token()}", "Tallystick-User": user}
        async with httpx.AsyncClient(timeout=DEADLINE_S) as http:
            if not stream:
                return _whole(await http.post(self.url + path, json=body, headers=headers))
            async with http.stream("POST", self.url + path, json=body, headers=headers) as response:
                if response.status_code != 200:
                    await response.aread()
                    return Answered(response.status_code, error=response.json().get("error", {}))
                return await _streamed(response, leaves_at)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels."""
        return await metric_of(self.url, name, labels)


def _whole(response: httpx.Response) -> Answered:
    body = response.json()
    if response.status_code != 200:
        return Answered(response.status_code, error=body.get("error", {}))
    call = response.headers["Tallystick-Call"]
    if "output" in body:
        found = Answered(200, call=call)
        _end(found, body)
        return found
    (choice,) = body["choices"]
    text = choice["message"]["content"] if "message" in choice else choice["text"]
    return Answered(200, len(text.split()), choice["finish_reason"], body.get("usage"), True, call=call)


async def _streamed(response: httpx.Response, leaves_at: int | None) -> Answered:
    found = Answered(200, call=response.headers["Tallystick-Call"])
    try:
        async for line in response.aiter_lines():
            data = line.removeprefix("data: ")
            if not data or line.startswith("event: "):
                continue
            if data == "[DONE]":
                found.done = True
                continue
            _note(found, json.loads(data))
            if found.words == leaves_at:
                break
    except httpx.TransportError:
        found.finish = "lost"
    return found


def _note(found: Answered, chunk: dict[str, Any]) -> None:
    assert not found.done
    found.error = chunk.get("error", found.error)
    if "usage" in chunk and chunk["usage"] is not None:
        found.usage = chunk["usage"]
    if "type" in chunk:
        _note_event(found, chunk)
    for choice in chunk.get("choices", []):
        said = choice["delta"].get("content") if "delta" in choice else choice["text"]
        found.words += bool(said)
        found.finish = choice.get("finish_reason") or found.finish


def _note_event(found: Answered, event: dict[str, Any]) -> None:
    """An event of a streamed response."""
    kind = event["type"]
    found.words += kind == "response.output_text.delta"
    if kind in ("response.completed", "response.incomplete"):
        streamed = found.words
        _end(found, event["response"])
        assert found.words == streamed, "what ends it says what was streamed"
    elif kind == "error":
        found.error, found.done = event, True


def _end(found: Answered, response: dict[str, Any]) -> None:
    """A whole response."""
    text = "".join(part["text"] for item in response["output"] for part in item["content"])
    found.words, found.usage, found.done = text.count(WORD), response.get("usage"), True
    found.finish = "stop" if response["status"] == "completed" else "length"


async def settled(client: AsyncClient, user: str) -> str:
    """What is settled, once nothing is held any more."""

    async def let_go() -> bool:
        return not (await client.state(user)).held

    await eventually(let_go, "nothing is held")
    return str((await client.state(user)).settled)


async def cents_spent(client: AsyncClient, user: str, granted: int) -> int:
    """Hundredths of a credit that were spent of those granted, once nothing is held any more."""
    return granted * 100 - int(Decimal(await settled(client, user)) * 100)


@asynccontextmanager
async def metering(suite: Suite, directory: Path, **settings: str) -> AsyncIterator[Meter]:
    """A stand-in and a proxy that is not started yet."""
    upstream = StandIn()
    meter = Meter(suite, upstream, directory, settings)
    async with upstream.serving():
        try:
            yield meter
        finally:
            await meter.stop()


async def configured(suite: Suite, config: dict[str, Any] | None = None) -> None:
    """Make the app what these tests are about."""
    async with suite.client(APP, "admin") as admin:
        await admin.put_config(config or CONFIG)
