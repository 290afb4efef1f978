"""Refusals that a decision can end in: each has a stable code, a status and what the caller may need to go on.

A refusal changes nothing. Those of 402, 404 and 409 are outcomes: they are stored under the idempotency key and
repeated. A 400 or 403 is the caller's mistake, is not stored, and the same key may be used again.
"""

from __future__ import annotations

from collections.abc import Mapping


class Rejected(Exception):
    """A command was refused; `extra` becomes members of the problem document."""

    __slots__ = ("code", "detail", "extra", "status")

    def __init__(self, status: int, code: str, detail: str, extra: Mapping[str, object] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.extra: Mapping[str, object] = extra or {}


def invalid(field: str, code: str, detail: str) -> Rejected:
    """400 `invalid_request` with one entry of `errors[]`."""
    return Rejected(400, "invalid_request", detail, {"errors": [{"field": field, "code": code, "detail": detail}]})


def not_found(thing: str) -> Rejected:
    """404 `<thing>_not_found`."""
    return Rejected(404, f"{thing}_not_found", f"There is no such {thing.replace('_', ' ')}.")


def conflict(code: str, detail: str, extra: Mapping[str, object] | None = None) -> Rejected:
    """409 with a code of its own."""
    return Rejected(409, code, detail, extra)


def disabled(feature: str) -> Rejected:
    """403 `feature_disabled`: the app has this feature switched off."""
    return Rejected(403, "feature_disabled", f"'{feature}' is switched off for this app.", {"feature": feature})
