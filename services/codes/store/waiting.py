"""What has not ended yet, for metrics."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.db import Pool


@dataclass(frozen=True, slots=True)
class Waiting:
    """Open reservations; when the oldest unanswered command and the oldest unfinished batch began, or 0; and paid
    redemptions whose credits the ledger has refused."""

    reservations: int
    oldest_command_s: float
    oldest_batch_s: float
    ungranted: int


async def read(pool: Pool) -> Waiting:
    """What there is now. Commands and batches by the real clock, whichever one their apps live by."""
    row = await pool.fetchrow(
        "SELECT (SELECT count(*) FROM redemptions WHERE status = 'reserved') AS reservations,"
        " coalesce((SELECT extract(epoch FROM min(s.sent_at)) FROM sent_commands s"
        " JOIN redemptions r ON r.command_id = s.command_id WHERE r.status = 'reserved'), 0)::float8 AS command,"
        " coalesce((SELECT min(created_at) FROM batches WHERE status = 'making'), 0)::float8 / 1000000 AS batch,"
        " (SELECT count(*) FROM redemptions WHERE status = 'confirmed' AND granted ? 'refusal') AS ungranted"
    )
    assert row is not None  # noqa: S101 - sums have a row
    return Waiting(row["reservations"], row["command"], row["batch"], row["ungranted"])
