"""Errors as HTTP answers: RFC 9457 problem documents with a `code` for programs and a `next` for people.

A :class:`Problem` may be raised anywhere behind a route. Its fields are written for the caller: nothing in them may
come from inside, such as a DSN, a token or a traceback.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import orjson
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"


class Problem(Exception):
    """A named refusal. Subclasses fix `status`, `code`, `title` and `next`; `detail` says what happened this time."""

    status: int = 500
    code: str = "internal_error"
    title: str = "Something went wrong on our side"
    next: str | None = None

    def __init__(
        self,
        detail: str | None = None,
        *,
        status: int | None = None,
        code: str | None = None,
        title: str | None = None,
        next: str | None = None,  # noqa: A002
        errors: Sequence[Mapping[str, Any]] | None = None,
        extra: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        self.status = status or self.status
        self.code = code or self.code
        self.title = title or self.title
        self.next = next or self.next
        self.detail = detail or self.title
        self.errors = errors
        self.extra = dict(extra or {})
        self.headers = dict(headers or {})
        super().__init__(f"{self.code}: {self.detail}")

    @property
    def type_uri(self) -> str:
        """The problem's `type`: a name that needs no host."""
        return f"urn:tallystick:problem:{self.code}"

    def to_dict(self, request_id: str | None = None) -> dict[str, Any]:
        """The problem document, fields of `extra` after our own."""
        document: dict[str, Any] = {
            "type": self.type_uri,
            "title": self.title,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.next:
            document["next"] = self.next
        if self.errors:
            document["errors"] = list(self.errors)
        if request_id:
            document["request_id"] = request_id
        for name, value in self.extra.items():
            document.setdefault(name, value)
        return document


def problem_response(problem: Problem, request_id: str | None = None) -> Response:
    """The HTTP answer of a problem."""
    return Response(
        orjson.dumps(problem.to_dict(request_id)),
        status_code=problem.status,
        headers=problem.headers,
        media_type=MEDIA_TYPE,
    )


class InvalidRequest(Problem):
    """The request is not what the route takes; `errors` lists each fault as `{code, field, detail}`."""

    status = 400
    code = "invalid_request"
    title = "The request is not valid"
    next = "Correct what errors[] lists and send the request again."


def invalid(code: str, field: str, detail: str) -> InvalidRequest:
    """An :class:`InvalidRequest` with one fault."""
    return InvalidRequest(detail, errors=[{"code": code, "field": field, "detail": detail}])


class _Unauthenticated(Problem):
    status = 401
    challenge: ClassVar[str] = 'Bearer realm="tallystick", error="invalid_token"'

    def __init__(self, detail: str | None = None) -> None:
        super().__init__(detail, headers={"WWW-Authenticate": self.challenge})


class TokenMissing(_Unauthenticated):
    """No bearer token came with the request."""

    code = "token_missing"
    title = "A bearer token is needed"
    next = "Send the header Authorization: Bearer <token>; `tallystick token` makes one on your own machine."
    challenge = 'Bearer realm="tallystick"'


class TokenInvalid(_Unauthenticated):
    """The token is not one of ours, or not for this service."""

    code = "token_invalid"
    title = "The token is not accepted"
    next = "Ask for a new token for this service."


class TokenExpired(_Unauthenticated):
    """The token was good once."""

    code = "token_expired"
    title = "The token has expired"
    next = "Ask for a new token and send the request again."


class ScopeMissing(Problem):
    """The token is good but does not allow this."""

    status = 403
    code = "scope_missing"
    title = "The token does not allow this"
    next = "Use a token whose role has this scope."

    def __init__(self, scope: str) -> None:
        super().__init__(f"The scope {scope} is needed.", extra={"scope": scope})


class WrongApp(Problem):
    """The token belongs to another app, or does not say to which."""

    status = 403
    code = "wrong_app"
    title = "The token is not for this app"
    next = "Use a token of the app; a token of several apps names one in the header Tallystick-App."


class WrongUser(Problem):
    """A user's token asked for somebody else's account."""

    status = 403
    code = "wrong_user"
    title = "The token is not for this user"
    next = "A user's token reaches that user's own account only."


class FeatureDisabled(Problem):
    """The app's configuration switches this off."""

    status = 403
    code = "feature_disabled"
    title = "This is switched off for the app"
    next = "Switch it on in the app's file and apply it with `tallystick app apply`."

    def __init__(self, feature: str) -> None:
        super().__init__(f"{feature} is switched off for this app.", extra={"feature": feature})


class NotFound(Problem):
    """There is no such thing; the code is `<thing>_not_found`."""

    status = 404
    title = "There is no such thing"
    next = "Check its id or name, and that the token is for its app."

    def __init__(self, thing: str) -> None:
        super().__init__(
            f"There is no such {thing.replace('_', ' ')}.",
            code=f"{thing.replace('-', '_').replace(' ', '_')}_not_found",
        )


class RouteNotFound(Problem):
    """No route has this path."""

    status = 404
    code = "route_not_found"
    title = "There is no such route"
    next = "The routes are listed at /docs."


class MethodNotAllowed(Problem):
    """The path exists, but not with this method."""

    status = 405
    code = "method_not_allowed"
    title = "The route does not take this method"
    next = "The header Allow names the methods that it takes."


class BodyTooLarge(Problem):
    """The body is over the limit."""

    status = 413
    code = "body_too_large"
    title = "The body is too large"
    next = "Send less at once."

    def __init__(self, bytes_max: int) -> None:
        # The rest of the body is not read, so the connection cannot be used again.
        super().__init__(
            f"A body may have {bytes_max} bytes.", extra={"bytes_max": bytes_max}, headers={"Connection": "close"}
        )


class _RetryLater(Problem):
    def __init__(self, retry_after_s: int = 1, detail: str | None = None) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after_s))})


class Overloaded(_RetryLater):
    """More work has come than can be done; nothing was changed."""

    status = 429
    code = "overloaded"
    title = "Too much at once"
    next = "Nothing was changed. Wait as Retry-After says and send it again with the same Idempotency-Key."


class RateLimited(_RetryLater):
    """This caller asks too often."""

    status = 429
    code = "rate_limited"
    title = "Too many requests"
    next = "Wait as Retry-After says and send it again with the same Idempotency-Key."


class Unavailable(Problem):
    """It cannot be decided now."""

    status = 503
    code = "unavailable"
    title = "It cannot be done just now"
    next = "Send it again with the same Idempotency-Key; it takes effect once at most."

    def __init__(self, detail: str | None = None, retry_after_s: int = 1) -> None:
        super().__init__(detail, headers={"Retry-After": str(max(1, retry_after_s))})


class ReadOnly(Unavailable):
    """Nothing can be written now; reads go on."""

    code = "read_only"
    title = "Only reads are possible just now"


class NotLeader(Unavailable):
    """Another process is the one that writes."""

    code = "not_leader"
    title = "This process does not lead"
