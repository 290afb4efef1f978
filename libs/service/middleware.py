"""The one middleware around every service, in pure ASGI: request id, body limit, metrics, access log, last resort.

It is one layer rather than five because each layer costs every request a coroutine.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from random import getrandbits
from time import perf_counter
from typing import Any

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from libs.service.metrics import HttpMetrics
from libs.service.problems import BodyTooLarge, Problem, problem_response

logger = logging.getLogger("access")
failures = logging.getLogger("failures")

REQUEST_ID: ContextVar[str] = ContextVar("request_id", default="")
BODY_BYTES_MAX = 1_048_576
SLOW_S = 1.0
UNANSWERED = 499
"""The status under which a request is counted whose client went away before an answer."""

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._:-]{8,64}")


class _BodyLimitReached(Exception):
    """Ends a handler that reads more of a body than it may have; never seen outside this file."""


class ServiceMiddleware:
    """Wraps an application; `body_bytes_max` bounds every request body, announced or chunked.

    Paths in `body_limits` have a bound of their own.
    """

    def __init__(
        self, app: ASGIApp, body_bytes_max: int = BODY_BYTES_MAX, body_limits: Mapping[str, int] | None = None
    ) -> None:
        self._app = app
        self._body_bytes_max = body_bytes_max
        self._body_limits = body_limits or {}
        self._metrics = HttpMetrics()
        self._paths: dict[Any, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = perf_counter()
        request_id, length, chunked = read_headers(scope["headers"])
        scope.setdefault("state", {})["request_id"] = request_id
        token = REQUEST_ID.set(request_id)
        limit = self._body_limits.get(scope["path"], self._body_bytes_max)
        exchange = _Exchange(receive, send, request_id, limit)
        try:
            if length > limit:
                await exchange.answer(BodyTooLarge(limit))
            else:
                await self._app(scope, exchange.receive if chunked else receive, exchange.send)
                if exchange.too_large:
                    await exchange.answer(BodyTooLarge(limit))
        except _BodyLimitReached:
            await exchange.answer(BodyTooLarge(limit))
        except Exception as error:
            problem = failed(scope, request_id, error)
            if exchange.status:
                # The answer had begun: only a broken connection can still tell that it is not whole.
                raise
            await exchange.answer(problem)
        finally:
            # Until the answer began: how long a stream goes on says nothing about how fast we are.
            seconds = (exchange.answered_at or perf_counter()) - started
            route = self._route(scope)
            status = exchange.status or UNANSWERED
            self._metrics.observe(scope["method"], route, status, seconds)
            log_access(scope, route, status, seconds, request_id)
            REQUEST_ID.reset(token)

    def _route(self, scope: Scope) -> str:
        """The template of the route that was taken. Starlette's own routes name only their endpoint."""
        route = scope.get("route")
        if route is not None:
            return str(route.path)
        endpoint = scope.get("endpoint")
        if endpoint is None:
            return "unmatched"
        if endpoint not in self._paths:
            paths = {known.endpoint: known.path for known in scope["app"].routes if isinstance(known, Route)}
            self._paths[endpoint] = paths.get(endpoint, "unmatched")
        return self._paths[endpoint]


class _Exchange:
    """One request's receive and send."""

    __slots__ = ("_limit", "_receive", "_received", "_request_id", "_send", "answered_at", "status", "too_large")

    def __init__(self, receive: Receive, send: Send, request_id: str, limit: int) -> None:
        self._receive = receive
        self._send = send
        self._request_id = request_id
        self._limit = limit
        self._received = 0
        self.status = 0
        self.answered_at = 0.0
        self.too_large = False

    async def receive(self) -> Message:
        message = await self._receive()
        self._received += len(message.get("body", b""))
        if self._received > self._limit:
            self.too_large = True
            raise _BodyLimitReached
        return message

    async def send(self, message: Message) -> None:
        if self.too_large:
            # A framework's own answer to the exception above gives way to ours.
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.answered_at = perf_counter()
            message["headers"].append((b"x-request-id", self._request_id.encode()))
        await self._send(message)

    async def answer(self, problem: Problem) -> None:
        """Answer with `problem`, unless an answer has begun."""
        if self.status:
            return
        self.too_large = False
        await problem_response(problem, self._request_id)({"type": "http"}, self._receive, self.send)


def read_headers(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str, int, bool]:
    """The caller's request id (or a new one), the announced length (0 if none), and whether the body is chunked."""
    request_id = b""
    length = 0
    chunked = False
    for name, value in headers:
        if name == b"content-length":
            length = int(value) if value.isdigit() else 0
        elif name == b"x-request-id":
            request_id = value
        elif name == b"transfer-encoding":
            chunked = True
    return request_id_from(request_id), length, chunked


def request_id_from(given: bytes) -> str:
    """The caller's id of a request, if it is one; else a new one."""
    # A new one tells requests apart and keeps no secret: no call into the kernel for it.
    return given.decode() if given and _REQUEST_ID.fullmatch(given) else f"{getrandbits(64):016x}"


def _about(scope: Scope) -> dict[str, Any]:
    return {"method": scope["method"], "path": scope["path"]}


def failed(scope: Scope, request_id: str, error: BaseException) -> Problem:
    """What went wrong goes to the log under the request's id; the caller learns only that id."""
    failures.error("a request failed", exc_info=error, extra={"request_id": request_id, **_about(scope)})
    return Problem(next="Report the request_id; the log has what happened.")


def log_access(scope: Scope, route: str, status: int, seconds: float, request_id: str) -> None:
    """Log a request that failed or was slow; with the level `debug`, every request."""
    if status < 500 and seconds < SLOW_S and not logger.isEnabledFor(logging.DEBUG):
        return
    level = logging.WARNING if status >= 500 or seconds >= SLOW_S else logging.DEBUG
    fields = {**_about(scope), "route": route, "status": status, "request_id": request_id}
    logger.log(level, "request", extra={**fields, "duration_ms": round(seconds * 1000, 3)})
