"""Rows of the projections by their keys, for whoever compares them with the log a few at a time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import cast

from asyncpg import Record

from libs.service.db import Connection, Pool
from services.ledger.store.heads import Head
from services.ledger.store.log_reads import EVENT_COLUMNS, TABLES, LogEvent

Key = tuple[str | int, ...]
KEYS: Mapping[str, Sequence[tuple[str, str]]] = {
    "accounts": [("app", "text"), ("user_id", "text"), ("asset", "text")],
    "lots": [("id", "text")],
    "holds": [("id", "text")],
    "transfers": [("id", "text")],
    "configs": [("app", "text"), ("version", "int")],
    "texts": [("event_id", "text")],
}
"""The columns of each table's primary key, with their types."""
_COLUMNS = {**TABLES, "texts": "event_id, app, user_id, salt, body"}
_FIRST: Mapping[str, Key] = {"accounts": ("", "", ""), "configs": ("", 0)}


@dataclass(slots=True)
class OwnedHead:
    """A head, and the shard that writes its partition."""

    head: Head
    shard: str


@dataclass(slots=True)
class Outcome:
    """What is kept of a command under its key: its id, and where the log stood."""

    command: str
    partition: int
    position: int


@asynccontextmanager
async def one_moment(pool: Pool) -> AsyncIterator[Connection]:
    """A connection that sees the database as of one moment, heads and rows alike.

    The locks come before the first look, so that no rebuild can put other tables in the place of these between the two.
    """
    async with pool.acquire() as lent:
        connection = cast("Connection", lent)
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            await connection.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS SHARE MODE")
            yield connection


async def owned_heads(connection: Connection) -> list[OwnedHead]:
    """Every head with its shard, in order of the partitions. `time_us` is not read."""
    rows = await connection.fetch("SELECT partition, position, hash, epoch, shard FROM heads ORDER BY partition")
    return [
        OwnedHead(Head(row["partition"], row["position"], row["hash"], row["epoch"], 0), row["shard"]) for row in rows
    ]


async def read_page(connection: Connection, partition: int, after: int, up_to: int, limit: int) -> list[LogEvent]:
    """At most `limit` events of a partition behind position `after`, up to position `up_to`, in order."""
    rows = await connection.fetch(
        f"SELECT {EVENT_COLUMNS} FROM events"
        " WHERE partition = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4",
        partition,
        after,
        up_to,
        limit,
    )
    return [LogEvent(*row) for row in rows]


async def rows_of(connection: Connection, table: str, keys: Sequence[Key]) -> list[Record]:
    """The rows of a table (one of :data:`KEYS`) that have these keys."""
    columns = KEYS[table]
    names = ", ".join(name for name, _ in columns)
    sent = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(columns, start=1))
    values = [[key[number] for key in keys] for number in range(len(columns))]
    told = ", ".join(f"t.{name}" for name in _COLUMNS[table].split(", "))
    return await connection.fetch(
        f"SELECT {told} FROM unnest({sent}) AS k({names}) JOIN {table} t USING ({names})", *values
    )


async def keys_after(connection: Connection, table: str, after: Key | None, limit: int) -> list[Key]:
    """Keys of a table behind `after` (None: the first), in the database's order."""
    columns = KEYS[table]
    names = ", ".join(name for name, _ in columns)
    behind = ", ".join(f"${number}" for number in range(1, len(columns) + 1))
    rows = await connection.fetch(
        f"SELECT {names} FROM {table} WHERE ({names}) > ({behind}) ORDER BY {names} LIMIT {limit}",
        *(after or _FIRST.get(table, ("",))),
    )
    return [tuple(row) for row in rows]


async def in_flight(connection: Connection) -> dict[tuple[str, str], int]:
    """Units that transfers on their way carry, by (app, asset)."""
    rows = await connection.fetch(
        "SELECT app, asset, sum(amount)::bigint AS amount FROM transfers WHERE status IN ('pending', 'refused')"
        " GROUP BY app, asset"
    )
    return {(row["app"], row["asset"]): row["amount"] for row in rows}


async def outcomes(connection: Connection, keys: Sequence[tuple[str, str, str]]) -> dict[str, Outcome]:
    """Outcomes kept under these keys, (app, user, key) of any caller, by the id of their command."""
    values = [[key[number] for key in keys] for number in range(3)]
    rows = await connection.fetch(
        "SELECT r.command_id, r.partition, r.position FROM unnest($1::text[], $2::text[], $3::text[])"
        " AS k(app, user_id, key) JOIN results r USING (app, user_id, key)",
        *values,
    )
    return {row["command_id"]: Outcome(*row) for row in rows}


async def hashes_at(connection: Connection, partition: int, positions: Sequence[int]) -> dict[int, bytes]:
    """The hashes of these events of a partition."""
    rows = await connection.fetch(
        "SELECT position, hash FROM events WHERE partition = $1 AND position = ANY ($2)", partition, positions
    )
    return {row["position"]: row["hash"] for row in rows}
