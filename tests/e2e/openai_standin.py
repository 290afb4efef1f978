"""A stand-in of an OpenAI-compatible API, over real HTTP: it says as many tokens as it is asked to, at its own pace.

What it does stands as JSON in the content of the first message (or in the prompt):
`{"tokens": 50, "pause_s": 0.01, "prompt": 7, "tells": true, "status": 200, "breaks_at": null}`.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from deploy.embedded.ports import free_port
from libs.service.server import make_server

START_S = 30.0
KEY = "sk-upstream-secret"
WORD = "word"
"""One token by the proxy's own count, four bytes."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What a request asks of the stand-in. `prompt`: tokens that it says the prompt had."""

    tokens: int = 5
    pause_s: float = 0.0
    prompt: int = 7
    cached: int = 0
    tells: bool = True
    status: int = 200
    breaks_at: int | None = None


@dataclass(slots=True)
class StandIn:
    """The API.

    `seen` is every body that came, `connections` where they came from, `said` the tokens said in all, `left` how many
    callers went away.
    """

    port: int = field(default_factory=free_port)
    seen: list[dict[str, Any]] = field(default_factory=list)
    said: int = 0
    connections: set[tuple[str, int]] = field(default_factory=set)
    left: int = 0

    @property
    def url(self) -> str:
        """Where it is."""
        return f"http://127.0.0.1:{self.port}"

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        """Serve while the block runs."""
        routes = [
            Route("/v1/chat/completions", self._complete, methods=["POST"]),
            Route("/v1/completions", self._complete, methods=["POST"]),
            Route("/v1/responses", self._respond, methods=["POST"]),
            Route("/v1/embeddings", self._embed, methods=["POST"]),
            Route("/v1/models", self._models),
            Route("/v1/files", self._models),
        ]
        server = make_server(Starlette(routes=routes), "127.0.0.1", self.port, graceful_s=1)
        running = asyncio.create_task(server._serve())
        try:
            async with asyncio.timeout(START_S):
                while not server.started:  # noqa: ASYNC110 - uvicorn tells it by nothing else
                    await asyncio.sleep(0.01)
            yield
        finally:
            server.should_exit = True
            await running

    async def _complete(self, request: Request) -> Response:
        body, wish = await self._read(request)
        if wish.status != 200:
            return JSONResponse({"error": {"message": "no", "type": "x", "code": "y"}}, wish.status)
        chat = "messages" in body
        limit = body.get("max_completion_tokens") or body.get("max_tokens") or wish.tokens
        count = min(wish.tokens, limit)
        finish = "stop" if count == wish.tokens else "length"
        if body.get("stream"):
            return StreamingResponse(self._stream(body, wish, count, finish), media_type="text/event-stream")
        await asyncio.sleep(wish.pause_s * count)
        self.said += count
        text = " ".join([WORD] * count)
        choice = {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
        answer: dict[str, Any] = {"id": "c1", "model": body["model"], "choices": [{"index": 0, **choice}]}
        answer["choices"][0]["finish_reason"] = finish
        if wish.tells:
            answer["usage"] = _usage(wish, count)
        return JSONResponse(answer)

    async def _stream(self, body: dict[str, Any], wish: Wish, count: int, finish: str) -> AsyncIterator[bytes]:
        chat = "messages" in body
        kind = "chat.completion.chunk" if chat else "text_completion"
        head = {"id": "c1", "object": kind, "created": 1, "model": body["model"]}
        tells = wish.tells and (body.get("stream_options") or {}).get("include_usage")
        shared = {**head, "usage": None} if tells else head
        ended = False
        try:
            if chat:
                delta = {"role": "assistant", "content": ""}
                yield _event({**shared, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
            for number in range(count):
                if number == wish.breaks_at:
                    raise RuntimeError("the stand-in breaks off, as it was asked to")
                self.said += 1
                said = {"delta": {"content": WORD}} if chat else {"text": WORD}
                yield _event({**shared, "choices": [{"index": 0, **said, "finish_reason": None}]})
                await asyncio.sleep(wish.pause_s)
            last: dict[str, Any] = {"delta": {}} if chat else {"text": ""}
            yield _event({**shared, "choices": [{"index": 0, **last, "finish_reason": finish}]})
            if tells:
                yield _event({**head, "choices": [], "usage": _usage(wish, count)})
            yield b"data: [DONE]\n\n"
            ended = True
        finally:
            self.left += not ended

    async def _respond(self, request: Request) -> Response:
        body, wish = await self._read(request)
        if wish.status != 200:
            return JSONResponse({"error": {"message": "no", "type": "x", "code": "y"}}, wish.status)
        count = min(wish.tokens, body.get("max_output_tokens") or wish.tokens)
        head = {"id": "r1", "object": "response", "created_at": 1, "model": body["model"]}
        over: dict[str, Any] = {**head, "status": "completed", "output": [_message([WORD] * count)]}
        if count < wish.tokens:
            over |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        if wish.tells:
            details = {"input_tokens_details": {"cached_tokens": wish.cached}}
            over["usage"] = {"input_tokens": wish.prompt, "output_tokens": count, **details}
        if body.get("stream"):
            begun = {**head, "status": "in_progress", "output": []}
            return StreamingResponse(self._events(wish, count, begun, over), media_type="text/event-stream")
        self.said += count
        return JSONResponse(over)

    async def _events(
        self, wish: Wish, count: int, begun: dict[str, Any], over: dict[str, Any]
    ) -> AsyncIterator[bytes]:
        numbers = itertools.count()

        def event(kind: str, **data: Any) -> bytes:
            name = f"response.{kind}"
            return f"event: {name}\n".encode() + _event({"type": name, "sequence_number": next(numbers), **data})

        ended = False
        place = {"output_index": 0, "content_index": 0, "item_id": "msg1"}
        try:
            yield event("created", response=begun)
            yield event("output_item.added", output_index=0, item={**_message([]), "status": "in_progress"})
            for number in range(count):
                if number == wish.breaks_at:
                    raise RuntimeError("the stand-in breaks off, as it was asked to")
                self.said += 1
                yield event("output_text.delta", **place, delta=WORD)
                await asyncio.sleep(wish.pause_s)
            yield event("output_item.done", output_index=0, item=_message([WORD] * count))
            yield event(over["status"], response=over)
            ended = True
        finally:
            self.left += not ended

    async def _embed(self, request: Request) -> Response:
        body, wish = await self._read(request)
        usage = {"prompt_tokens": wish.prompt, "total_tokens": wish.prompt}
        return JSONResponse({"object": "list", "data": [], "model": body["model"], "usage": usage})

    async def _models(self, request: Request) -> Response:
        return JSONResponse({"object": "list", "data": [], "authorized": request.headers.get("authorization")})

    async def _read(self, request: Request) -> tuple[dict[str, Any], Wish]:
        assert request.headers["authorization"] == f"Bearer {KEY}"
        assert request.client is not None
        self.connections.add((request.client.host, request.client.port))
        body: dict[str, Any] = await request.json()
        self.seen.append(body)
        text = body["messages"][0]["content"] if "messages" in body else str(body.get("prompt") or body.get("input"))
        try:
            return body, Wish(**orjson.loads(text))
        except orjson.JSONDecodeError:
            return body, Wish()


def _event(chunk: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _message(words: list[str]) -> dict[str, Any]:
    content = [{"type": "output_text", "text": " ".join(words), "annotations": []}] if words else []
    return {"id": "msg1", "type": "message", "role": "assistant", "status": "completed", "content": content}


def _usage(wish: Wish, count: int) -> dict[str, Any]:
    usage: dict[str, Any] = {"prompt_tokens": wish.prompt, "completion_tokens": count}
    usage["total_tokens"] = wish.prompt + count
    if wish.cached:
        usage["prompt_tokens_details"] = {"cached_tokens": wish.cached}
    return usage
