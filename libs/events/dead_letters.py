"""Messages that could not be handled: kept with their reason in the consumer's database, listed, replayed.

The row is the dead letter; what goes to `<consumer>.dead` is a copy for whoever watches. Rows are never deleted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from libs.events.contracts.base import Event, contract
from libs.events.db import Connection, Pool, changed
from libs.events.envelope import Envelope, Heartbeat, InvalidMessage, envelope_from_json, envelope_json, from_raw_json
from libs.events.outbox import Cause, Outbox

COPY_BYTES_MAX = 500_000
UNREADABLE_APP = "@unreadable"


class PermanentError(Exception):
    """Raised by a handler for a message that can never succeed; `reason` is a short code."""

    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason = reason
        self.detail = detail


@contract("tallystick.dead_lettered.v1")
class DeadLettered(Event):
    """The copy on `<consumer>.dead`; `message` is CloudEvents JSON text, absent where it would be too large."""

    dead_letter: int
    consumer: str
    source: str
    topic: str
    partition: int
    message_id: str | None
    type: str | None
    reason: str
    detail: str
    message: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """Where a dead message lay: by `stream` and `seq` in an event log, or by Kafka's `cluster_id` and `offset`."""

    consumer: str
    source: str
    topic: str
    partition: int
    stream: str | None = None
    seq: int | None = None
    cluster_id: str | None = None
    offset: int | None = None


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter as operators see it."""

    id: int
    consumer: str
    source: str
    topic: str
    partition: int
    seq: int | None
    message_id: str | None
    type: str | None
    reason: str
    detail: str
    message: bytes
    created_at: datetime
    replay_requested_at: datetime | None
    replayed_at: datetime | None


async def bury(
    connection: Connection,
    place: Place,
    error: InvalidMessage | PermanentError,
    message: Envelope | None = None,
    outbox: Outbox | None = None,
) -> None:
    """Record a dead letter in the caller's transaction, once per place, with its copy if there is an outbox.

    Without a `message` it is the record that the error keeps in `raw`.
    """
    if message is not None:
        message_id: str | None = message.id
        type_name: str | None = message.type
        app, user, cause = message.app, message.subject, Cause.of(message)
        body = orjson.dumps(envelope_json(message))
    else:
        readable = error.readable if isinstance(error, InvalidMessage) else {}
        message_id, type_name = readable.get("id"), readable.get("type")
        app, user, cause = UNREADABLE_APP, message_id or str(place.offset), Cause(causation_id=message_id)
        body = error.raw if isinstance(error, InvalidMessage) else b""
    detail = (error.detail or str(error)).replace("\x00", "�")
    row_id = await connection.fetchval(
        "INSERT INTO dead_letters (consumer, source, topic, partition, stream, seq, cluster_id, kafka_offset,"
        " message_id, type, reason, detail, message)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT DO NOTHING RETURNING id",
        place.consumer,
        place.source,
        place.topic,
        place.partition,
        place.stream,
        place.seq,
        place.cluster_id,
        place.offset,
        message_id,
        type_name,
        error.reason,
        detail,
        body,
    )
    if row_id is None or outbox is None:
        return
    copy = DeadLettered(
        dead_letter=row_id,
        consumer=place.consumer,
        source=place.source,
        topic=place.topic,
        partition=place.partition,
        message_id=message_id,
        type=type_name,
        reason=error.reason,
        detail=detail,
        message=body.decode() if len(body) <= COPY_BYTES_MAX else None,
    )
    await outbox.add(connection, copy, app=app, user=user, cause=cause, topic=f"{place.consumer}.dead")


async def list_dead_letters(
    pool: Pool, *, consumer: str | None = None, everything: bool = False, after: int = 0, limit: int = 100
) -> Sequence[DeadLetter]:
    """Dead letters by id, those not yet replayed unless `everything` is asked for."""
    rows = await pool.fetch(
        "SELECT id, consumer, source, topic, partition, seq, message_id, type, reason, detail, message, created_at,"
        " replay_requested_at, replayed_at FROM dead_letters"
        " WHERE ($1::text IS NULL OR consumer = $1) AND ($2 OR replayed_at IS NULL) AND id > $3 ORDER BY id LIMIT $4",
        consumer,
        everything,
        after,
        limit,
    )
    return [DeadLetter(**dict(row)) for row in rows]


async def request_replay(pool: Pool, dead_letter: int) -> bool:
    """Ask the running consumer to handle a dead letter again; False if there is no such open one."""
    status = await pool.execute(
        "UPDATE dead_letters SET replay_requested_at = now() WHERE id = $1 AND replayed_at IS NULL", dead_letter
    )
    return changed(status) == 1


async def open_by_source(pool: Pool, consumer: str) -> dict[str, int]:
    """How many dead letters of each source wait for somebody."""
    rows: Sequence[asyncpg.Record] = await pool.fetch(
        "SELECT source, count(*) AS open FROM dead_letters WHERE consumer = $1 AND replayed_at IS NULL GROUP BY source",
        consumer,
    )
    return {row["source"]: row["open"] for row in rows}


def revive(body: bytes) -> Envelope:
    """The message of a dead letter; :class:`InvalidMessage` if it still cannot be read."""
    shape = orjson.loads(body)
    if "specversion" in shape:
        return envelope_from_json(shape)
    message = from_raw_json(body)
    if isinstance(message, Heartbeat):
        raise InvalidMessage("heartbeat", "a heartbeat is not replayed")
    return message
