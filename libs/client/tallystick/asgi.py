"""Paid routes: an ASGI middleware that holds credits, runs the application, and captures or releases.

app = CreditsMiddleware(app, client, rules=[Rule("/images", price="image_generation", user=signed_in_user)])
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from ._async_client import AsyncClient
from ._sale import AsyncSale, Terms
from .errors import ConnectionFailed, RateLimited, ServerError, TallystickError
from .values import Amount, Usage

log = logging.getLogger("tallystick")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

_PASSING = (ConnectionFailed, RateLimited, ServerError)
_REPEATS = {
    "open": ("request_in_progress", "A request under this key is under way."),
    "captured": ("request_done", "A request under this key was carried out and charged; use another for a new one."),
}


def request_key(scope: Scope) -> str | None:
    """The caller's own key of a request: its Idempotency-Key, else its X-Request-Id, else none."""
    return _header(scope, b"idempotency-key") or _header(scope, b"x-request-id")


@dataclass(frozen=True, slots=True)
class Rule:
    """Requests that cost something: those of `method` whose path is `path`, where `{name}` stands for one segment.

    `user` says from the ASGI scope whose credits they take (None: nobody is signed in, which is answered 401). The
    cost is `amount`, or `price` and `quantity`, or what `model` costs for the estimated `usage`. `key` gives the
    caller's key of a request, under which it is charged once.
    """

    path: str
    method: str = "POST"
    user: Callable[[Scope], str | None] = field(kw_only=True)
    amount: Amount | None = field(default=None, kw_only=True)
    price: str | None = field(default=None, kw_only=True)
    quantity: Amount | None = field(default=None, kw_only=True)
    model: str | None = field(default=None, kw_only=True)
    usage: Usage | None = field(default=None, kw_only=True)
    service: str | None = field(default=None, kw_only=True)
    ttl_s: int | None = field(default=None, kw_only=True)
    key: Callable[[Scope], str | None] = field(default=request_key, kw_only=True)

    @property
    def pattern(self) -> re.Pattern[str]:
        """What a path of this rule looks like."""
        parts = re.split(r"(\{\w+\})", self.path)
        return re.compile("".join("[^/]+" if part.startswith("{") else re.escape(part) for part in parts))

    def terms(self, scope: Scope, user: str) -> Terms:
        """The terms of one request. Its key is of this user and route, whatever others call theirs."""
        named = ("amount", "price", "quantity", "model", "usage", "service", "ttl_s")
        cost = {name: value for name in named if (value := getattr(self, name)) is not None}
        key = self.key(scope)
        if key is not None:
            parts = "\0".join((scope["method"], scope["path"], user, key))
            key = hashlib.sha256(parts.encode()).hexdigest()
        return Terms(user, cost, key)


class CreditsMiddleware:
    """Around an ASGI application: a request that a rule names is paid for.

    Its cost is held before the application runs, captured when it answers 2xx whole, streamed or not, and released
    otherwise. While it runs the hold is extended. The application finds the hold as `request.state.hold`; what it
    captures itself, such as a usage, is what the request costs.

    Refusals of the ledger are answered as they are, `application/problem+json` with 402 or 409; 503 when it cannot be
    reached. A request whose key was used by one that is done or under way is answered 409 and not run again.
    """

    def __init__(self, app: App, client: AsyncClient, rules: Iterable[Rule]) -> None:
        self._app, self._client = app, client
        self._rules = [(rule, rule.pattern) for rule in rules]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        rule = self._rule_of(scope) if scope["type"] == "http" else None
        if rule is None:
            await self._app(scope, receive, send)
            return
        user = rule.user(scope)
        if user is None:
            await _answer(send, _problem(401, "user_missing", "Nobody is signed in whose credits this could take."))
            return
        async with AsyncExitStack() as stack:
            try:
                sale = await stack.enter_async_context(AsyncSale(self._client, rule.terms(scope, user)))
            except TallystickError as refused:
                await _answer(send, _refusal(refused))
                return
            if sale.repeats is not None:
                await _answer(send, _problem(409, *_REPEATS[sale.repeats]))
                return
            scope.setdefault("state", {})["hold"] = sale.hold
            await self._app(scope, receive, _Exchange(sale, send).send)

    def _rule_of(self, scope: Scope) -> Rule | None:
        for rule, pattern in self._rules:
            if scope["method"] == rule.method and pattern.fullmatch(scope["path"]):
                return rule
        return None


class _Exchange:
    """One paid answer on its way. Its end waits for the capture, and its beginning for its first part."""

    def __init__(self, sale: AsyncSale, send: Send) -> None:
        self._sale, self._send = sale, send
        self._start: Message | None = None
        self._streams = False
        self._succeeds = False

    async def send(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._start, self._succeeds = message, 200 <= message["status"] < 300
            return
        if message["type"] == "http.response.body":
            if not message.get("more_body") and self._succeeds and not await self._paid():
                return
            if self._start is not None:
                start, self._start = self._start, None
                self._streams = True
                await self._send(start)
        await self._send(message)

    async def _paid(self) -> bool:
        """Capture; whether the answer may end as it is. One that cannot be paid and has not begun becomes an error."""
        if not self._sale.hold.is_open:
            return True
        try:
            await self._sale.capture()
        except TallystickError:
            log.exception("hold %s could not be captured", self._sale.hold.id)
            if not self._streams:
                await _answer(self._send, _problem(503, "unavailable", "This could not be charged, and was not."))
                return False
        return True


def _refusal(error: TallystickError) -> Mapping[str, Any]:
    """What the caller is told. Only refusals that concern the caller are passed on; the rest is our own failure."""
    if error.status in (402, 409):
        return {"type": "about:blank", "status": error.status, **error.problem}
    if isinstance(error, _PASSING):
        return _problem(503, "unavailable", "Credits cannot be held just now; nothing was taken.")
    raise error


def _problem(status: int, code: str, detail: str) -> Mapping[str, Any]:
    return {"type": f"urn:tallystick:problem:{code}", "title": detail, "status": status, "code": code, "detail": detail}


async def _answer(send: Send, problem: Mapping[str, Any]) -> None:
    """Answer with a problem document (RFC 9457)."""
    body = json.dumps(problem).encode()
    headers = [(b"content-type", b"application/problem+json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": problem["status"], "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _header(scope: Scope, name: bytes) -> str | None:
    values = (value for key, value in scope["headers"] if key == name)
    found: bytes | None = next(values, None)
    return None if found is None else found.decode("latin-1")
