"""What every route shares: who may, which key, which user, and how answers leave."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response

from libs.service.app import principal_of
from libs.service.auth import Principal
from libs.service.problems import Problem, ScopeMissing, invalid
from libs.service.tracing import format_traceparent, parse_traceparent

USER = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)
"""What a user's id may be."""
_KEY = re.compile(rb"[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?")


class KeyMissing(Problem):
    """A write came without its idempotency key."""

    status = 400
    code = "idempotency_key_missing"
    title = "The header Idempotency-Key is needed"
    next = "Send a key of your own making, and the same one when you send the request again."


def traceparent_of(request: Request) -> str | None:
    """The trace that a request belongs to, written anew; None if its header names none."""
    trace = dict(request.scope["headers"]).get(b"traceparent")
    context = None if trace is None else parse_traceparent(trace.decode("latin-1"))
    return None if context is None else format_traceparent(context)


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
        raise ScopeMissing(f"{scopes[0].partition(':')[0]}:config")
    return principal


def user_in_path(request: Request) -> str:
    """The user that the path names."""
    user: str = request.path_params["user"]
    if not USER.fullmatch(user):
        raise invalid("invalid_user", "user", "A user is 1 to 128 of the characters A-Z, a-z, 0-9 and . _ : -")
    return user


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


def json_response(content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """`content` as JSON."""
    return Response(orjson.dumps(content), status, headers, media_type="application/json")
