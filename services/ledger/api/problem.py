"""The shape of every refusal."""

from __future__ import annotations

from services.ledger.api.answers import Answer


class Fault(Answer):
    """One thing that is wrong with a request."""

    code: str
    field: str
    detail: str


class Problem(Answer):
    """A refusal (RFC 9457): `code` is for programs, `detail` and `next` are for people."""

    type: str
    title: str
    status: int
    code: str
    detail: str
    next: str | None = None
    errors: list[Fault] | None = None
    request_id: str | None = None
