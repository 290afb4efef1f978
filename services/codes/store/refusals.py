"""Rows of refusals: kept for a while, so that somebody can be told why a code did not work."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.db import Connection, Pool


@dataclass(frozen=True, slots=True)
class RefusalRow:
    """One refusal: why in truth (`reason`), and what the caller was told (`answered`)."""

    app: str
    user: str
    reason: str
    answered: str
    refused_at: int
    code_id: str | None = None
    checkout: str | None = None
    id: int = 0


async def insert(connection: Connection, row: RefusalRow, forget_at: int) -> None:
    """Keep a refusal until `forget_at`. The same statement for a code that exists as for one that does not."""
    await connection.execute(
        "INSERT INTO refusals (app, code_id, user_id, checkout, reason, answered, refused_at, forget_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        row.app,
        row.code_id,
        row.user,
        row.checkout,
        row.reason,
        row.answered,
        row.refused_at,
        forget_at,
    )


async def lock_untold(connection: Connection, limit: int) -> list[RefusalRow]:
    """Lock refusals of codes that were not told yet, the oldest first, but for those of another process."""
    rows = await connection.fetch(
        "SELECT id, app, code_id, user_id, checkout, reason, answered, refused_at FROM refusals"
        " WHERE NOT told AND code_id IS NOT NULL ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
        limit,
    )
    return [
        RefusalRow(
            row["app"],
            row["user_id"],
            row["reason"],
            row["answered"],
            row["refused_at"],
            row["code_id"],
            row["checkout"],
            row["id"],
        )
        for row in rows
    ]


async def mark_told(connection: Connection, ids: list[int]) -> None:
    """These were told."""
    await connection.execute("UPDATE refusals SET told = true WHERE id = ANY($1)", ids)


async def forget(pool: Pool, now_us: int, limit: int) -> int:
    """Forget at most so many whose time has come, never one that is still to be told; how many."""
    status = await pool.execute(
        "DELETE FROM refusals WHERE id IN (SELECT id FROM refusals WHERE forget_at <= $1"
        " AND (told OR code_id IS NULL) ORDER BY forget_at LIMIT $2)",
        now_us,
        limit,
    )
    return int(status.rpartition(" ")[2])
