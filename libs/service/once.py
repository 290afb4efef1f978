"""Idempotency for services whose writes are transactions of their own database: a write happens once under its key.

The key is claimed in the transaction of the effect, before it. A repeat, also one that comes meanwhile, waits for that
transaction and gets the first answer; if it was undone, the repeat is the first. Stored are successes and decided
refusals (402, 404, 409), never what may turn out differently a moment later (400, 401, 403, 413, 429, 503). The table
is in :data:`libs.service.migrations.RECORDS_SOURCE`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from libs.service.app import request_id_of
from libs.service.auth import Principal
from libs.service.db import AnyConnection, Pool
from libs.service.problems import MEDIA_TYPE, Problem, problem_response
from libs.service.routes import idempotency_key

KEPT = frozenset({402, 404, 409})
"""Refusals that a repeat gets again."""
KEY_DAYS = 35


class KeyReused(Problem):
    """A key came again with another request."""

    status = 422
    code = "idempotency_key_reused"
    title = "This Idempotency-Key was used for another request"
    next = "Send a new key for a new request, and the same body when you send one again."


@dataclass(frozen=True, slots=True)
class Wish:
    """A write as it was asked: by whom, under which key, and what. `request_id` is only for its refusals."""

    app: str
    caller: str
    key: str
    fingerprint: bytes
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to a wish; `replayed` if it had been given before."""

    status: int
    body: bytes
    replayed: bool = False


Effect = Callable[[AnyConnection], Awaitable[Result]]


def wish_of(request: Request, principal: Principal, body: BaseModel) -> Wish:
    """The wish of a request with its parsed body; 400 without a key.

    The fingerprint is of method, path and the body's fields as sent, so that it does not depend on how they were laid
    out, or on defaults of a later release.
    """
    sent = body.model_dump_json(exclude_unset=True)
    mark = hashlib.sha256(f"{request.method} {request.url.path} {sent}".encode()).digest()
    return Wish(principal.app, principal.sub, idempotency_key(request), mark, request_id_of(request))


async def once(pool: Pool, wish: Wish, effect: Effect) -> Result:
    """Do what `effect` does in one transaction under the wish's key, or answer as before.

    What `effect` raises undoes all that it did; a :class:`Problem` that a repeat would get again is the answer and is
    kept. Other problems are raised, and :class:`KeyReused` for a key that came with another request.
    """
    async with pool.acquire() as connection, connection.transaction():
        known = await _claim(connection, wish)
        if known is not None:
            return known
        try:
            async with connection.transaction():
                result = await effect(connection)
        except Problem as problem:
            if problem.status not in KEPT:
                raise
            result = refusal(problem, wish)
        await amend(connection, wish, result)
    return result


async def amend(connection: Pool | AnyConnection, wish: Wish, result: Result) -> None:
    """Make `result` the answer that repeats get from now on, where the first one only said that it was under way."""
    await connection.execute(
        "UPDATE results SET status = $4, body = $5 WHERE app = $1 AND caller = $2 AND key = $3",
        wish.app,
        wish.caller,
        wish.key,
        result.status,
        result.body,
    )


def refusal(problem: Problem, wish: Wish) -> Result:
    """A problem as the answer to a wish."""
    return Result(problem.status, bytes(problem_response(problem, wish.request_id).body))


def result_response(result: Result, headers: dict[str, str] | None = None) -> Response:
    """The HTTP answer of a result."""
    sent = dict(headers or {})
    if result.replayed:
        sent["Idempotency-Replayed"] = "true"
    media_type = "application/json" if result.status < 400 else MEDIA_TYPE
    return Response(result.body, result.status, sent, media_type=media_type)


async def forget(pool: Pool, days: int = KEY_DAYS) -> int:
    """Forget answers that are older than so many days; how many were."""
    status = await pool.execute("DELETE FROM results WHERE created_at < now() - make_interval(days => $1)", days)
    return int(status.rpartition(" ")[2])


async def _claim(connection: AnyConnection, wish: Wish) -> Result | None:
    """Take the key, or the answer that is known under it."""
    taken = await connection.fetchval(
        "INSERT INTO results (app, caller, key, fingerprint) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT DO NOTHING RETURNING true",
        wish.app,
        wish.caller,
        wish.key,
        wish.fingerprint,
    )
    if taken:
        return None
    row = await connection.fetchrow(
        "SELECT fingerprint, status, body FROM results WHERE app = $1 AND caller = $2 AND key = $3",
        wish.app,
        wish.caller,
        wish.key,
    )
    assert row is not None  # noqa: S101 - only answers of five weeks ago are forgotten
    if row["fingerprint"] != wish.fingerprint:
        raise KeyReused
    return Result(row["status"], row["body"], replayed=True)
