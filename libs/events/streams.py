"""Incarnations of a log: a restore begins a new one, which shares with the one before it what lies up to its forks."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import uuid4

from libs.events.db import Connection, Pool
from libs.events.log_source import Stream


async def streams_of(pool: Pool, topic: str, partition: int) -> Sequence[Stream]:
    """All incarnations of this database's log in one partition, the oldest first."""
    rows = await pool.fetch(
        "SELECT s.stream, coalesce(f.forked_at, 0) AS forked_at FROM outbox_streams s"
        " LEFT JOIN outbox_forks f ON f.number = s.number AND f.topic = $1 AND f.partition = $2 ORDER BY s.number",
        topic,
        partition,
    )
    return [Stream(row["stream"], row["forked_at"]) for row in rows]


async def begin_stream(connection: Connection, heads: str, *arguments: object) -> str:
    """Begin a new incarnation, as after a restore; run as the owner. Its id.

    `heads` is a query for (topic, partition, last seq) that locks their rows: what is in the log now is shared with the
    incarnation before, and nothing is added between the look at a head and the stream that forks there.
    """
    stream = uuid4().hex
    async with connection.transaction():
        rows = await connection.fetch(heads, *arguments)
        number = await connection.fetchval(
            "INSERT INTO outbox_streams (number, stream) SELECT max(number) + 1, $1 FROM outbox_streams"
            " RETURNING number",
            stream,
        )
        await connection.executemany(
            "INSERT INTO outbox_forks (number, topic, partition, forked_at) VALUES ($1, $2, $3, $4)",
            [(number, *row) for row in rows],
        )
    return stream
