"""What every route shares: who may, which key, whose account, and how answers leave."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from libs.service.app import request_id_of
from libs.service.auth import Principal
from libs.service.problems import MEDIA_TYPE
from libs.service.routes import (
    KeyMissing,
    idempotency_key,
    json_response,
    permitted,
    staff,
    traceparent_of,
    user_in_path,
)
from services.ledger.core import Core
from services.ledger.domain.config import AppConfig
from services.ledger.domain.rejections import Rejected
from services.ledger.handlers.commands import Origin
from services.ledger.refusals import problem_of
from services.ledger.requests import Answer
from services.ledger.streams import Streams
from services.ledger.transfers import Transfers

__all__ = [
    "ADJUST",
    "CONFIG",
    "EVENTS",
    "GRANT",
    "READ",
    "SPEND",
    "AnswerResponse",
    "KeyMissing",
    "answer_response",
    "asset_of",
    "core_of",
    "idempotency_key",
    "json_response",
    "origin_of",
    "own_account",
    "permitted",
    "staff",
    "streams_of",
    "transfers_of",
    "user_in_path",
]

READ = "ledger:read"
SPEND = "ledger:spend"
GRANT = "ledger:grant"
ADJUST = "ledger:adjust"
CONFIG = "ledger:config"
EVENTS = "events:read"

_JSON = b"application/json"
_PROBLEM = MEDIA_TYPE.encode()


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


def own_account(request: Request) -> tuple[Principal, str]:
    """The caller and the user that the path names: a user reads its own account only."""
    principal = permitted(request, READ)
    user = user_in_path(request)
    principal.require_user(user)
    return principal, user


def origin_of(request: Request, principal: Principal, key: str) -> Origin:
    """Where a command over HTTP comes from."""
    return Origin(
        app=principal.app,
        caller=principal.sub,
        key=key,
        actor=principal.actor,
        role=principal.role,
        door=request.scope["state"].get("door", "http"),
        request_id=request_id_of(request),
        traceparent=traceparent_of(request),
    )


def asset_of(config: AppConfig, name: str | None) -> str:
    """The asset of that name, the default one without a name; 404 `unknown_asset`."""
    try:
        return config.asset(name)
    except Rejected as rejected:
        raise problem_of(rejected) from None


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
