"""Every column of every table of the books, and how a value of each type is falsified."""

from __future__ import annotations

import random
from dataclasses import dataclass

import asyncpg

from libs.service.db import Connection

BOOKS = ("events", "heads", "texts", "accounts", "lots", "holds", "transfers", "configs", "results", "deployment")
"""What `verify` proves."""
BESIDE = frozenset(
    {
        "shards",
        "unique_refs",
        "quotes",
        "outbox",
        "outbox_heads",
        "outbox_stamper",
        "outbox_streams",
        "outbox_forks",
        "relay_checkpoints",
        "sent_commands",
        "consumer_checkpoints",
        "dead_letters",
        "command_cursors",
        "schema_migrations",
        "test_clocks",
        "violations",
    }
)
"""Tables that are not made from the log: leases, outcomes under keys, quotes, places in Kafka."""
UNPROVEN = {
    ("events", "traceparent"): "a trace context, not part of the books",
    ("heads", "time"): "only keeps the clock from going back",
    ("heads", "shard"): "says which process writes; the operator's to change",
    ("results", "caller"): "whose key it is; not in the log, whose actor is the person behind it",
    ("results", "body"): "only its place, its object and its balances are in the log",
    ("results", "fingerprint"): "of the command as sent, which is not kept",
    ("results", "command_type"): "a label",
    ("results", "command_id"): "a label",
    ("results", "created_at"): "when it may be forgotten",
    ("deployment", "id"): "always 1, by a constraint",
    ("deployment", "created_at"): "a note",
}
"""Columns whose falsification nobody would notice, and why that is no matter."""
STEPS = {("heads", "epoch"): -1, ("results", "status"): 300}
"""What to add to a number where one more would be right too: a take-over raises the epoch, a 201 is much like a 200."""
ROWS = {
    "results": "EXISTS (SELECT FROM events e WHERE e.account_version > 0 AND"
    " (e.partition, e.position, e.idempotency_key) = (results.partition, results.position, results.key))"
}
"""Which rows, where not all tell of an event."""
_OTHER = {"timestamptz": "1999-12-31T00:00:00Z", "jsonb": '{"a": 1}', "text": "x", "_text": "{x}"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column, with its type as PostgreSQL calls it."""

    table: str
    name: str
    kind: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"


@dataclass(frozen=True, slots=True)
class Falsified:
    """A value that was changed: of which row (its events' place, or None), from what to what."""

    column: Column
    row: str
    partition: int | None
    position: int | None
    before: str | None
    after: str


async def columns(connection: Connection) -> list[Column]:
    """All columns of the books, from the database itself."""
    rows = await connection.fetch(
        "SELECT table_name, column_name, udt_name FROM information_schema.columns"
        " WHERE table_schema = 'public' AND table_name = ANY ($1) ORDER BY table_name, ordinal_position",
        list(BOOKS),
    )
    found = [Column(*row) for row in rows]
    return [column for column in found if (column.table, column.name) not in UNPROVEN]


async def falsify(connection: Connection, column: Column, chance: random.Random) -> Falsified:
    """Change the value of a column in one row, by one bit or one step."""
    table, name = column.table, column.name
    place = "partition, position" if table == "events" else "NULL::int, NULL::bigint"
    condition = ROWS.get(table, "true")
    rows = await connection.fetch(
        f'SELECT ctid::text, "{name}"::text, {place} FROM {table} WHERE {condition} ORDER BY ctid'
    )
    row, before, partition, position = chance.choice(rows)
    new = f'"{name}" = $1::text::{column.kind}'
    statement = f"UPDATE {table} SET {new} WHERE ctid = $2::text::tid RETURNING ctid::text"
    after = _other(before, column.kind, chance, STEPS.get((table, name), 1))
    try:
        changed = await connection.fetchval(statement, after, row)
    except asyncpg.UniqueViolationError:
        # The next number is another row's key.
        after = str(int(after) + 1000)
        changed = await connection.fetchval(statement, after, row)
    return Falsified(column, changed, partition, position, before, after)


async def restore(connection: Connection, done: Falsified) -> None:
    """Take a falsification back."""
    column = done.column
    status = await connection.execute(
        f'UPDATE {column.table} SET "{column.name}" = $1::text::{column.kind} WHERE ctid = $2::text::tid',
        done.before,
        done.row,
    )
    assert status == "UPDATE 1", status


def _other(value: str | None, kind: str, chance: random.Random, step: int) -> str:
    if kind in ("int2", "int4", "int8"):
        return str(int(value or 0) + step)
    if kind == "bool":
        return str(value != "true").lower()
    if kind == "bytea":
        content = bytearray.fromhex((value or "\\x")[2:]) or bytearray(1)
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
        return f"\\x{content.hex()}"
    if kind == "text" and value:
        place = chance.randrange(len(value))
        return value[:place] + ("!" if value[place] == "~" else "~") + value[place + 1 :]
    return _OTHER[kind]
