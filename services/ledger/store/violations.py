"""What the verifier found wrong: recorded by it, told to the writers, cleared by the owner of the database."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from libs.service.db import Connection, Pool

DETAIL_MAX = 500
"""Characters of a detail that are kept."""
_OPEN = (
    "SELECT v.id, v.invariant, v.partition, v.position, v.detail, v.found_by, v.found_at, v.cleared_at, v.cleared_by,"
    " v.reason FROM violations v"
)


@dataclass(slots=True)
class Found:
    """A violation as the verifier reports it: partition None concerns them all, position None is not in the log."""

    invariant: str
    partition: int | None
    position: int | None
    detail: str


@dataclass(slots=True)
class Recorded(Found):
    """A violation as it is kept. `cleared_at`, `cleared_by` and `reason` are None while it stops writers."""

    id: int
    found_by: str
    found_at: datetime
    cleared_at: datetime | None
    cleared_by: str | None
    reason: str | None


async def record(pool: Pool, found: Iterable[Found], found_by: str) -> list[Found]:
    """Keep these, and answer those that are news: nobody had recorded them, or what was found had been cleared."""
    news = []
    async with pool.acquire() as connection, connection.transaction():
        for one in found:
            one.detail = one.detail[:DETAIL_MAX]
            status = await connection.execute(
                "INSERT INTO violations (invariant, partition, position, detail, found_by) VALUES ($1, $2, $3, $4, $5)"
                " ON CONFLICT DO NOTHING",
                one.invariant,
                one.partition,
                one.position,
                one.detail,
                found_by,
            )
            if status == "INSERT 0 1":
                news.append(one)
    return news


async def recorded(connection: Connection | Pool, *, cleared: bool = False) -> list[Recorded]:
    """The violations that stop writers, or with `cleared` all there ever were; the oldest first."""
    where = "" if cleared else " WHERE v.cleared_at IS NULL"
    rows = await connection.fetch(f"{_OPEN}{where} ORDER BY v.id")
    return [Recorded(**dict(row)) for row in rows]


async def clear(connection: Connection, number: int | None, cleared_by: str, reason: str) -> int:
    """Let writers go on in spite of one violation, or of all; how many that were. For the owner of the database."""
    status = await connection.execute(
        "UPDATE violations SET cleared_at = now(), cleared_by = $2, reason = $3"
        " WHERE cleared_at IS NULL AND ($1::bigint IS NULL OR id = $1)",
        number,
        cleared_by,
        reason,
    )
    return int(status.split()[-1])
