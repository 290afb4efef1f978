"""What the sender of a command over Kafka hears where no event of an account answers it."""

from __future__ import annotations

import orjson

from services.ledger.domain import events as ev
from services.ledger.domain.rejections import Rejected
from services.ledger.requests import Request
from services.ledger.store.load import StoredResult

Told = ev.CommandRefused | ev.CommandRepeated


def refusal(request: Request, rejected: Rejected) -> Told:
    """That the command was refused, as HTTP would say it."""
    return ev.CommandRefused(
        command=request.command_id,
        command_type=request.message_type or request.type,
        status=rejected.status,
        code=rejected.code,
        detail=rejected.detail,
        user=request.user or None,
    )


def repetition(request: Request, first: str) -> Told:
    """That the command was done before, as another one: `first` is what that one made."""
    return ev.CommandRepeated(
        command=request.command_id,
        command_type=request.message_type or request.type,
        first=first,
        user=request.user,
    )


def known_outcome(request: Request, result: StoredResult) -> Told:
    """What became of another command under the same idempotency key."""
    body = orjson.loads(result.body)
    if result.status < 400:
        return repetition(request, str(body["id"]))
    return refusal(request, Rejected(result.status, body["code"], body["detail"]))
