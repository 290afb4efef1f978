"""Dead letters of `ledger.commands` that somebody asked to have decided again."""

from __future__ import annotations

from libs.service.db import Pool
from services.ledger.store.log_source import SOURCE

_CHUNK = 100


async def asked_again(pool: Pool) -> list[tuple[int, bytes]]:
    """(id, message) of the dead letters whose replay was asked for, the oldest first."""
    rows = await pool.fetch(
        "SELECT id, message FROM dead_letters WHERE consumer = $1 AND replay_requested_at IS NOT NULL"
        " AND replayed_at IS NULL ORDER BY id LIMIT $2",
        SOURCE,
        _CHUNK,
    )
    return [(row["id"], row["message"]) for row in rows]


async def note_replayed(pool: Pool, dead_letter: int) -> None:
    """It was decided; its outcome is in the log."""
    await pool.execute("UPDATE dead_letters SET replayed_at = now() WHERE id = $1", dead_letter)


async def note_failed(pool: Pool, dead_letter: int, detail: str) -> None:
    """It could not be decided this time either; it stays open until somebody asks again."""
    await pool.execute(
        "UPDATE dead_letters SET replay_requested_at = NULL, detail = $2 WHERE id = $1", dead_letter, detail
    )
