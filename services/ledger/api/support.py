"""What every route shares: who may, which key, whose account, and how answers leave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from libs.service.app import principal_of, request_id_of
from libs.service.auth import Principal
from libs.service.problems import MEDIA_TYPE, Problem, ScopeMissing, invalid
from libs.service.tracing import format_traceparent, parse_traceparent
from services.ledger.core import Core
from services.ledger.domain.config import AppConfig
from services.ledger.domain.rejections import Rejected
from services.ledger.handlers.commands import Origin
from services.ledger.refusals import problem_of
from services.ledger.requests import Answer
from services.ledger.streams import Streams
from services.ledger.transfers import Transfers

READ = "ledger:read"
SPEND = "ledger:spend"
GRANT = "ledger:grant"
ADJUST = "ledger:adjust"
CONFIG = "ledger:config"
EVENTS = "events:read"

_USER = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
_KEY = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")


_JSON = b"application/json"
_PROBLEM = MEDIA_TYPE.encode()


class KeyMissing(Problem):
    """A write came without its idempotency key."""

    status = 400
    code = "idempotency_key_missing"
    title = "The header Idempotency-Key is needed"
    next = "Send a key of your own making, and the same one when you send the request again."


def core_of(request: Request) -> Core:
    """The process's core."""
    core: Core = request.app.state.core
    return core


def transfers_of(request: Request) -> Transfers:
    """What takes the steps of transfers."""
    transfers: Transfers = request.app.state.transfers
    return transfers


def streams_of(request: Request) -> Streams:
    """What hands events to the open streams."""
    streams: Streams = request.app.state.streams
    return streams


def permitted(request: Request, *scopes: str) -> Principal:
    """The caller, who must have one of these scopes and speak for an app."""
    principal = principal_of(request)
    if not any(scope in principal.scopes for scope in scopes):
        raise ScopeMissing(scopes[0])
    principal.require_app()
    return principal


def staff(request: Request, *scopes: str) -> Principal:
    """As :func:`permitted`, and not a user."""
    principal = permitted(request, *scopes)
    if principal.role == "user":
        raise ScopeMissing(CONFIG)
    return principal


def user_in_path(request: Request) -> str:
    """The user that the path names."""
    user: str = request.path_params["user"]
    if not _USER.fullmatch(user):
        raise invalid("invalid_user", "user", "A user is 1 to 128 of the characters A-Z, a-z, 0-9 and . _ : -")
    return user


def own_account(request: Request) -> tuple[Principal, str]:
    """The caller and the user that the path names: a user reads its own account only."""
    principal = permitted(request, READ)
    user = user_in_path(request)
    principal.require_user(user)
    return principal, user


def idempotency_key(request: Request, *, needed: bool = True) -> str:
    """The key under which this write happens once: 1 to 200 printable ASCII characters."""
    raw = dict(request.scope["headers"]).get(b"idempotency-key")
    if raw is None:
        if needed:
            raise KeyMissing
        return ""
    if not _KEY.fullmatch(raw):
        raise invalid("invalid_idempotency_key", "Idempotency-Key", "1 to 200 printable ASCII characters.")
    return str(raw, "ascii")


def origin_of(request: Request, principal: Principal, key: str) -> Origin:
    """Where a command over HTTP comes from."""
    trace = dict(request.scope["headers"]).get(b"traceparent")
    context = None if trace is None else parse_traceparent(trace.decode("latin-1"))
    return Origin(
        app=principal.app,
        caller=principal.sub,
        key=key,
        actor=f"{principal.role}:{principal.sub}",
        role=principal.role,
        door=request.scope["state"].get("door", "http"),
        request_id=request_id_of(request),
        traceparent=None if context is None else format_traceparent(context),
    )


def asset_of(config: AppConfig, name: str | None) -> str:
    """The asset of that name, the default one without a name; 404 `unknown_asset`."""
    try:
        return config.asset(name)
    except Rejected as rejected:
        raise problem_of(rejected) from None


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")


def answer_response(answer: Answer) -> Response:
    """The writer's answer, its bytes untouched."""
    return AnswerResponse(answer)


class AnswerResponse(Response):
    """An answer of the writer: its few headers are put together without the framework's detours."""

    def __init__(self, answer: Answer) -> None:
        self.status_code = answer.status
        self.body = answer.body
        self.background = None
        self.raw_headers = [
            (b"content-length", b"%d" % len(answer.body)),
            (b"content-type", _JSON if answer.status < 400 else _PROBLEM),
        ]
        if answer.replayed:
            self.raw_headers.append((b"idempotency-replayed", b"true"))
        if answer.status == 503:
            self.raw_headers.append((b"retry-after", b"1"))
