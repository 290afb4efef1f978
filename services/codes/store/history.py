"""What the service has told of one code or one redemption, read from its events."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import asyncpg
import orjson

from libs.events.db import Pool

_SELECT = (
    "SELECT id, message_id, type, time_us, subject, actor, data FROM outbox"
    " WHERE topic = 'codes.events' AND app = $1 AND id > $3"
)


@dataclass(frozen=True, slots=True)
class ToldEvent:
    """One event: `place` is its place among all, `subject` whom it concerns (`@app`: nobody)."""

    place: int
    id: str
    type: str
    time_us: int
    subject: str
    actor: str | None
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Which part of a history is read: at most `limit` events behind the place `after`."""

    after: int
    limit: int


async def of_code(pool: Pool, app: str, code_id: str, batch_id: str | None, part: Part) -> list[ToldEvent]:
    """Events of a code, and of its batch as a whole, in their order."""
    own = f"{_SELECT} AND told_of(data, 'code') = $2 ORDER BY id LIMIT $4"
    whole = f"{_SELECT} AND told_of(data, 'batch') = $5 AND told_of(data, 'code') IS NULL ORDER BY id LIMIT $4"
    rows = await pool.fetch(
        f"SELECT * FROM (({own}) UNION ALL ({whole})) AS told ORDER BY id LIMIT $4",
        app,
        code_id,
        part.after,
        part.limit,
        batch_id,
    )
    return [_event_of(row) for row in rows]


async def of_redemption(pool: Pool, app: str, redemption_id: str, part: Part) -> list[ToldEvent]:
    """Events of a redemption in their order."""
    rows = await pool.fetch(
        f"{_SELECT} AND told_of(data, 'redemption') = $2 ORDER BY id LIMIT $4",
        app,
        redemption_id,
        part.after,
        part.limit,
    )
    return [_event_of(row) for row in rows]


def _event_of(row: asyncpg.Record) -> ToldEvent:
    return ToldEvent(
        row["id"],
        row["message_id"],
        row["type"],
        row["time_us"],
        row["subject"],
        row["actor"],
        orjson.loads(row["data"]),
    )
