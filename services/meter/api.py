"""The routes of the OpenAI API that the proxy serves. Whatever goes wrong is told in that API's shape of errors."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from contextlib import AsyncExitStack
from typing import Any

import httpx
import orjson
from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tallystick import TallystickError

from libs.events.tasks import run_together
from libs.service.app import principal_of
from libs.service.problems import Problem, RouteNotFound, invalid
from services.meter.domain.dialects import CHAT, COMPLETIONS, EMBEDDINGS, RESPONSES, Dialect, InvalidBody
from services.meter.handlers.calls import Busy, Desk, Metered
from services.meter.handlers.paying import PASSING
from services.meter.upstream import UpstreamFailed, body_of, passed_back

router = APIRouter()

SPEND = "ledger:spend"
USER_HEADER = "Tallystick-User"
CALL_HEADER = "Tallystick-Call"
_USER = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
"""The types of errors by status (https://platform.openai.com/docs/guides/error-codes); 402 is `insufficient_quota`."""


@router.post(CHAT.path, summary="Chat, metered")
async def chat(request: Request) -> Response:
    """A chat completion, whole or streamed."""
    return await _told(request, lambda: _metered(request, CHAT))


@router.post(COMPLETIONS.path, summary="Completion, metered")
async def completions(request: Request) -> Response:
    """A completion, whole or streamed."""
    return await _told(request, lambda: _metered(request, COMPLETIONS))


@router.post(RESPONSES.path, summary="Response, metered")
async def responses(request: Request) -> Response:
    """A response, whole or streamed. Its prompt is in the request, not taken from what lies upstream."""
    return await _told(request, lambda: _metered(request, RESPONSES))


@router.post(EMBEDDINGS.path, summary="Embeddings, metered")
async def embeddings(request: Request) -> Response:
    """Embeddings: only their input costs."""
    return await _told(request, lambda: _metered(request, EMBEDDINGS))


@router.api_route("/v1/{rest:path}", methods=["GET", "POST", "DELETE"], include_in_schema=False)
async def passed(request: Request) -> Response:
    """What the settings let through, at no cost."""
    return await _told(request, lambda: _passed(request))


class Relay(Response):
    """A streamed answer. It ends when the call does or its caller goes away; both settle the call."""

    def __init__(self, stack: AsyncExitStack, call: Metered, upstream: AsyncExitStack, answer: httpx.Response) -> None:
        self._stack, self._call, self._upstream, self._answer = stack, call, upstream, answer
        self._sent = {**passed_back(answer), "cache-control": "no-cache", CALL_HEADER: call.id}
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve it."""
        async with self._stack:
            headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in self._sent.items()]
            await send({"type": "http.response.start", "status": self._answer.status_code, "headers": headers})
            await run_together(self._pass_on(send), self._watch(receive))

    async def _pass_on(self, send: Send) -> None:
        async def push(data: bytes) -> None:
            await send({"type": "http.response.body", "body": data, "more_body": True})

        async with self._upstream:
            last = await self._call.stream(self._answer.aiter_raw(), push)
        await self._call.finish(push, last)
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _watch(self, receive: Receive) -> None:
        message: MutableMapping[str, Any] = {}
        while message.get("type") != "http.disconnect":
            message = await receive()
        self._call.left()


async def _metered(request: Request, dialect: Dialect) -> Response:
    desk: Desk = request.app.state.desk
    body = _parsed(await request.body())
    if body is None:
        raise invalid("invalid_json", "", "The body is a JSON object.")
    app, user = _payer(request, body)
    ask = dialect.ask(body)
    async with AsyncExitStack() as stack:
        call = await stack.enter_async_context(Metered(desk, dialect, body, ask=ask, app=app, user=user))
        async with AsyncExitStack() as upstream:
            call.sent()
            try:
                answer = await upstream.enter_async_context(
                    desk.upstream.send("POST", dialect.path, call.request(), request.headers)
                )
                if answer.is_success and ask.stream:
                    return Relay(stack.pop_all(), call, upstream.pop_all(), answer)
                content = await body_of(answer, desk.settings.answer_bytes_max)
                if answer.is_success:
                    await call.answered(_parsed(content))
            except UpstreamFailed:
                await call.failed()
                raise
        if not answer.is_success:
            await call.failed()
            _refuse_ours(answer)
        return Response(content, answer.status_code, {**passed_back(answer), CALL_HEADER: call.id})


async def _passed(request: Request) -> Response:
    desk: Desk = request.app.state.desk
    if not any(_matches(route, request.method, request.url.path) for route in desk.settings.passed):
        raise RouteNotFound
    principal_of(request).require_app()
    content = await request.body()
    target = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    async with desk.upstream.send(request.method, target, content, request.headers) as answer:
        _refuse_ours(answer)
        told = await body_of(answer, desk.settings.answer_bytes_max)
        return Response(told, answer.status_code, passed_back(answer))


def _matches(route: str, method: str, path: str) -> bool:
    wanted, _, template = route.partition(" ")
    parts = re.split(r"\{[^}]*\}", template)
    return wanted == method and re.fullmatch("[^/]+".join(map(re.escape, parts)), path) is not None


def _refuse_ours(answer: httpx.Response) -> None:
    """An upstream that refuses the proxy's own key says more about that than a caller may know."""
    if answer.status_code in (401, 403):
        raise UpstreamFailed(f"the upstream answered {answer.status_code} to the proxy's own key")


def _payer(request: Request, body: Mapping[str, Any]) -> tuple[str, str]:
    """The app and the user who pays: a user's token pays for itself, a service's for whom it names."""
    principal = principal_of(request)
    app = principal.require_app()
    if principal.role == "user":
        return app, principal.sub
    principal.require(SPEND)
    user = request.headers.get(USER_HEADER) or body.get("user")
    if not isinstance(user, str) or not _USER.fullmatch(user):
        raise invalid("invalid_user", "user", f"Name the user who pays in {USER_HEADER}, or as 'user' in the body.")
    return app, user


def _parsed(content: bytes) -> dict[str, Any] | None:
    """The JSON object that this is; None when it is none."""
    try:
        found = orjson.loads(content)
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) else None


async def _told(request: Request, work: Callable[[], Awaitable[Response]]) -> Response:  # noqa: PLR0911 -- a case for each kind
    """What the work answers, or what went wrong in the shape of the API's errors."""
    try:
        return await work()
    except Problem as problem:
        document = problem.to_dict()
        return _error(problem.status, problem.code, problem.detail, headers=problem.headers, **_more(document))
    except InvalidBody as error:
        return _error(400, "invalid_request", str(error), param=error.param)
    except Busy:
        return _error(429, "overloaded", "Too many calls are under way.", headers={"Retry-After": "1"})
    except UpstreamFailed as error:
        request.app.state.logger.warning("the upstream failed: %s", error)
        return _error(502, "upstream_failed", "The model's provider could not be asked, or refused the proxy.")
    except PASSING as error:
        request.app.state.logger.warning("the ledger could not be asked: %s", error)
        return _error(503, "unavailable", "Credits cannot be held just now; nothing was taken.")
    except TallystickError as refused:
        status = refused.status or 503
        return _error(status, refused.code, str(refused.problem.get("detail") or refused), **_more(refused.problem))


def _more(problem: Mapping[str, Any]) -> dict[str, Any]:
    told = ("required", "available", "owed", "top_up_url", "budget", "errors", "next")
    return {name: problem[name] for name in told if name in problem}


def _error(
    status: int,
    code: str,
    message: str,
    *,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
    **more: Any,
) -> Response:
    kind = "insufficient_quota" if status == 402 else _TYPES.get(status, "api_error" if status >= 500 else _TYPES[400])
    error = {"message": message, "type": kind, "param": param, "code": code, **more}
    return Response(orjson.dumps({"error": error}), status, dict(headers or {}), media_type="application/json")
