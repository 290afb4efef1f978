"""Exports for bookkeeping and for users who ask for their data: events or journal lines, at constant memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any, Literal

from libs.service.exports import csv_lines, json_lines
from services.ledger.api.answers import Transaction
from services.ledger.api.journal import event_view, transaction_view
from services.ledger.store import log_reads
from services.ledger.store.journal import LogRow

Kind = Literal["events", "transactions"]
TRANSACTION_COLUMNS = ("user", "asset", *Transaction.model_fields)
EVENT_COLUMNS = (
    "id",
    "type",
    "time",
    "user",
    "asset",
    "partition",
    "position",
    "account_version",
    "transaction",
    "command",
    "correlation",
    "actor",
    "payload",
    "text",
)


async def export(
    dsn: str,
    kind: Kind,
    file_format: Literal["csv", "jsonl"],
    app: str,
    *,
    user: str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> AsyncIterator[bytes]:
    """Pieces of a file with an app's events, or one user's, as of one moment and in order of the log.

    `events` are the log as it lies, with texts that have not been erased; `transactions` are the lines of accounts'
    journals, with balances before and after.
    """
    async with log_reads.snapshot(dsn) as connection:
        rows = _views(log_reads.told_events(connection, app, user, since, until), kind)
        columns = EVENT_COLUMNS if kind == "events" else TRANSACTION_COLUMNS
        pieces = csv_lines(columns, rows) if file_format == "csv" else json_lines(rows)
        async for piece in pieces:
            yield piece


async def _views(rows: AsyncIterator[LogRow], kind: Kind) -> AsyncIterator[dict[str, Any]]:
    async for row in rows:
        if kind == "events":
            yield {**event_view(row), "text": row.text or None}
        elif row.version:
            yield {"user": row.user, "asset": row.asset, **transaction_view(row)}
