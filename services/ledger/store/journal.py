"""An account's events, forward for folding and backward for its journal, and the events of a whole app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from libs.service.clock import from_datetime, to_datetime
from libs.service.db import Pool
from services.ledger.domain import codec
from services.ledger.domain import events as ev

_PAGE = 500


@dataclass(slots=True)
class EventRow:
    """An event of an account and its place."""

    event: ev.AccountEvent
    position: int


async def account_events(
    pool: Pool, key: tuple[str, str, str], position: int | None, at: int | None
) -> AsyncIterator[EventRow]:
    """The account's events in order, up to a position and a time (microseconds) where those are given."""
    version = 0
    until = None if at is None else to_datetime(at)
    while True:
        rows = await pool.fetch(
            "SELECT account_version, position, type, time, payload FROM events"
            " WHERE app = $1 AND user_id = $2 AND asset = $3 AND account_version > $4"
            " AND ($5::bigint IS NULL OR position <= $5) AND ($6::timestamptz IS NULL OR time <= $6)"
            " ORDER BY account_version LIMIT $7",
            *key,
            version,
            position,
            until,
            _PAGE,
        )
        for row in rows:
            event = codec.decode(row["type"], row["payload"], from_datetime(row["time"]))
            if isinstance(event, ev.AccountEvent):
                yield EventRow(event, row["position"])
        if len(rows) < _PAGE:
            return
        version = rows[-1]["account_version"]
