"""Reading the log and its tables for whoever proves, rebuilds or tells the past: in pages, in one snapshot."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from asyncpg import Record

from libs.service.clock import from_datetime
from libs.service.db import Connection, Pool, connect
from services.ledger.store.heads import Head
from services.ledger.store.journal import LogRow
from services.ledger.store.log_source import EVENTS_TOPIC
from services.ledger.store.rows import ACCOUNT_COLUMNS, HOLD_COLUMNS, LOT_COLUMNS

PAGE = 2000
"""Events read at once."""
WAIT_S = 3.0
EVENT_COLUMNS = (
    "partition, position, epoch, app, user_id, asset, account_version, type, schema_version, event_id, transaction_id,"
    " command_id, correlation_id, causation_id, actor, idempotency_key, time, payload, hash, object, reference, member"
)
TRANSFER_COLUMNS = (
    "id, app, asset, from_user, to_user, from_partition, to_partition, amount, status, refusal, created_at, settled_at"
)
CONFIG_COLUMNS = "app, version, document, applied_at, partition, position"
TABLES = {
    "accounts": ACCOUNT_COLUMNS,
    "lots": LOT_COLUMNS,
    "holds": HOLD_COLUMNS,
    "transfers": TRANSFER_COLUMNS,
    "configs": CONFIG_COLUMNS,
}
"""The projections and their columns, in the order of the tables."""


@dataclass(slots=True)
class LogEvent:
    """One row of the log as it is stored; the fields are those of :data:`EVENT_COLUMNS`."""

    partition: int
    position: int
    epoch: int
    app: str
    user: str
    asset: str
    account_version: int
    type: str
    schema_version: int
    event_id: str
    transaction_id: str
    command_id: str
    correlation_id: str
    causation_id: str
    actor: str
    key: str
    time: datetime
    payload: bytes
    hash: bytes
    object: str | None
    reference: str | None
    member: str | None


PROCESSES = ("ledger", "ledger-reads", "ledger-relay", "ledger-writer")
"""What the connections of the writer, its reads and the relay are called."""


@dataclass(slots=True)
class LogStream:
    """An incarnation of the log, and up to which position of each partition it is the present one (None: all)."""

    stream: str
    shared_up_to: dict[int, int] | None


@dataclass(slots=True)
class TextRow:
    """An erasable text and the salt of its digest."""

    app: str
    user: str
    salt: bytes
    body: str


@asynccontextmanager
async def snapshot(dsn: str, snapshot_id: str | None = None, *, read_only: bool = True) -> AsyncIterator[Connection]:
    """A connection within one REPEATABLE READ transaction: its own snapshot, or one that another has exported.

    The projections are locked against being replaced meanwhile, never against being written. The transaction commits
    when the block ends well, so that one that is not `read_only` keeps what it wrote.
    """
    connection = await connect(dsn, application_name="ledger-truth", statement_timeout_ms=0, wait_s=WAIT_S)
    try:
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
        async with connection.transaction(isolation="repeatable_read", readonly=read_only):
            if snapshot_id is not None:
                await connection.execute(f"SET TRANSACTION SNAPSHOT '{snapshot_id}'")
            await connection.execute(f"LOCK TABLE {', '.join(TABLES)} IN ACCESS SHARE MODE")
            yield connection
    finally:
        await connection.close()


async def export_snapshot(connection: Connection) -> str:
    """A name by which other connections can share this transaction's snapshot while it lasts."""
    name: str = await connection.fetchval("SELECT pg_export_snapshot()")
    return name


async def read_heads(connection: Connection | Pool) -> dict[int, Head]:
    """The heads of all partitions. `time_us` is not read."""
    rows = await connection.fetch("SELECT partition, position, hash, epoch FROM heads ORDER BY partition")
    return {row["partition"]: Head(row["partition"], row["position"], row["hash"], row["epoch"], 0) for row in rows}


async def hash_at(connection: Connection, partition: int, position: int) -> bytes | None:
    """The hash of one event of the log, None where there is none."""
    query = "SELECT hash FROM events WHERE partition = $1 AND position = $2"
    found: bytes | None = await connection.fetchval(query, partition, position)
    return found


async def running_processes(connection: Connection) -> list[str]:
    """Which of the ledger's own processes are connected to the database, by what their connections are called."""
    rows = await connection.fetch(
        "SELECT DISTINCT application_name FROM pg_stat_activity"
        " WHERE datname = current_database() AND application_name = ANY ($1) ORDER BY application_name",
        list(PROCESSES),
    )
    return [row["application_name"] for row in rows]


async def read_partitions(connection: Connection | Pool) -> int:
    """The number of partitions; LookupError before `migrate`."""
    partitions: int | None = await connection.fetchval("SELECT partitions FROM deployment")
    if partitions is None:
        raise LookupError("the ledger's database is not initialised")
    return partitions


async def read_streams(connection: Connection | Pool) -> list[LogStream]:
    """All incarnations of the log, the present one last."""
    rows = await connection.fetch("SELECT number, stream FROM outbox_streams ORDER BY number")
    forks = await connection.fetch(
        "SELECT number, partition, forked_at FROM outbox_forks WHERE topic = $1", EVENTS_TOPIC
    )
    streams = []
    for row in rows:
        later = [fork for fork in forks if fork["number"] > row["number"]]
        shared: dict[int, int] = {}
        for fork in later:
            shared[fork["partition"]] = min(shared.get(fork["partition"], fork["forked_at"]), fork["forked_at"])
        streams.append(LogStream(row["stream"], None if row is rows[-1] else shared))
    return streams


async def read_log(
    connection: Connection, partition: int, after: int = 0, up_to: int | None = None
) -> AsyncIterator[list[LogEvent]]:
    """Pages of a partition's events behind position `after`, in order, up to position `up_to` if one is given."""
    statement = await connection.prepare(
        f"SELECT {EVENT_COLUMNS} FROM events"
        " WHERE partition = $1 AND position > $2 AND position <= $3 ORDER BY position LIMIT $4"
    )
    last = (1 << 63) - 1 if up_to is None else up_to
    while True:
        rows = await statement.fetch(partition, after, last, PAGE)
        if not rows:
            return
        yield [LogEvent(*row) for row in rows]
        after = rows[-1]["position"]


@dataclass(slots=True)
class AccountRow:
    """An event of an account as it lies in the log; `time_us` is microseconds since the epoch."""

    position: int
    user: str
    asset: str
    type: str
    time_us: int
    command_id: str
    actor: str
    payload: bytes


async def read_accounts_log(
    connection: Connection, partition: int, app: str, until: datetime
) -> AsyncIterator[list[AccountRow]]:
    """Pages of what happened to an app's accounts in a partition before `until`, in order."""
    statement = await connection.prepare(
        "SELECT position, user_id, asset, type, time, command_id, actor, payload FROM events WHERE partition = $1"
        " AND position > $2 AND app = $3 AND time < $4 AND account_version > 0 ORDER BY position LIMIT $5"
    )
    after = 0
    while True:
        rows = await statement.fetch(partition, after, app, until, PAGE)
        if not rows:
            return
        yield [
            AccountRow(position, user, asset, name, from_datetime(time), command, actor, payload)
            for position, user, asset, name, time, command, actor, payload in rows
        ]
        after = rows[-1]["position"]


async def charges_refunded(connection: Connection, partition: int, app: str) -> set[str]:
    """The ids of an app's charges in a partition of which anything was ever given back."""
    rows = await connection.fetch(
        "SELECT DISTINCT object FROM events WHERE partition = $1 AND app = $2 AND type = 'ledger.charge_refunded.v1'",
        partition,
        app,
    )
    return {row["object"] for row in rows}


async def read_texts(connection: Connection, event_ids: Sequence[str]) -> dict[str, TextRow]:
    """The texts that are still there, by the id of their event."""
    rows = await connection.fetch(
        "SELECT event_id, app, user_id, salt, body FROM texts WHERE event_id = ANY ($1)", list(event_ids)
    )
    return {row["event_id"]: TextRow(row["app"], row["user_id"], row["salt"], row["body"]) for row in rows}


async def stray_texts(connection: Connection, limit: int) -> tuple[int, list[str]]:
    """(number of texts, ids of those whose event does not exist, at most `limit`)."""
    total: int = await connection.fetchval("SELECT count(*) FROM texts")
    rows = await connection.fetch(
        "SELECT event_id FROM texts t WHERE NOT EXISTS (SELECT FROM events e WHERE e.event_id = t.event_id)"
        " ORDER BY event_id LIMIT $1",
        limit,
    )
    return total, [row["event_id"] for row in rows]


def table_rows(connection: Connection, table: str, where: str, *parameters: Any) -> AsyncIterator[Record]:
    """Rows of a projection by a server-side cursor; `where` is SQL of ours with `parameters`."""
    cursor = connection.cursor(f"SELECT {TABLES[table]} FROM {table} WHERE {where}", *parameters, prefetch=PAGE)
    return aiter(cursor)


def result_rows(connection: Connection, partition: int) -> AsyncIterator[Record]:
    """The outcomes kept under keys, each with the event at its position (`event_…`, all None if there is none)."""
    cursor = connection.cursor(
        "SELECT r.app, r.user_id, r.key, r.status, r.body, r.partition, r.position, e.event_id, e.app AS event_app,"
        " e.user_id AS event_user, e.idempotency_key AS event_key, e.object AS event_object, e.payload AS event_payload"
        " FROM results r LEFT JOIN events e USING (partition, position) WHERE r.partition = $1",
        partition,
        prefetch=PAGE,
    )
    return aiter(cursor)


def unkept_outcomes(connection: Connection, partition: int) -> AsyncIterator[Record]:
    """The last events (id, position, app, user, key) of commands whose outcome is not kept under their key.

    Only of the last days: what is older may have been forgotten.
    """
    cursor = connection.cursor(
        "SELECT e.event_id, e.position, e.app, e.user_id, e.idempotency_key AS key FROM ("
        "SELECT *, lead(command_id) OVER (ORDER BY position) AS next FROM events WHERE partition = $1 AND position"
        " >= (SELECT min(position) FROM results WHERE partition = $1 AND created_at > now() - interval '30 days')) e"
        " LEFT JOIN results r ON (r.app, r.user_id, r.key, r.partition, r.position)"
        " = (e.app, e.user_id, e.idempotency_key, e.partition, e.position)"
        " WHERE e.account_version > 0 AND e.idempotency_key <> '' AND e.next IS DISTINCT FROM e.command_id"
        " AND r.key IS NULL ORDER BY e.position",
        partition,
        prefetch=PAGE,
    )
    return aiter(cursor)


async def accounts_of(pool: Pool, app: str, user: str | None) -> AsyncIterator[tuple[str, str, str]]:
    """Every account that an app, or one user of it, ever opened, by its log."""
    after = ("", "")
    while True:
        rows = await pool.fetch(
            "SELECT user_id, asset FROM events WHERE app = $1 AND account_version = 1 AND (user_id, asset) > ($2, $3)"
            " AND ($4::text IS NULL OR user_id = $4) ORDER BY user_id, asset LIMIT $5",
            app,
            *after,
            user,
            PAGE,
        )
        for row in rows:
            yield app, row["user_id"], row["asset"]
        if len(rows) < PAGE:
            return
        after = rows[-1]["user_id"], rows[-1]["asset"]


async def told_events(
    connection: Connection, app: str, user: str | None, since: datetime | None, until: datetime | None
) -> AsyncIterator[LogRow]:
    """Events of an app, or of one user of it, with their texts, in order of the log; `until` is not included.

    They come by a server-side cursor: memory does not grow with their number.
    """
    by_user = "" if user is None else " AND e.user_id = $4"
    parameters = [app, since, until] if user is None else [app, since, until, user]
    cursor = connection.cursor(
        "SELECT e.event_id, e.type, e.time, e.user_id, e.asset, e.account_version, e.partition, e.position, e.object,"
        " e.reference, e.member, e.transaction_id, e.command_id, e.correlation_id, e.actor, e.payload, t.body"
        " FROM events e LEFT JOIN texts t USING (event_id) WHERE e.app = $1"
        " AND ($2::timestamptz IS NULL OR e.time >= $2) AND ($3::timestamptz IS NULL OR e.time < $3)"
        f"{by_user} ORDER BY e.partition, e.position",
        *parameters,
        prefetch=PAGE,
    )
    async for row in cursor:
        values = list(row)
        values[2] = from_datetime(row["time"])
        values[-2] = orjson.loads(row["payload"])
        values[-1] = {} if row["body"] is None else orjson.loads(row["body"])
        yield LogRow(*values)
