"""What is to be published is written with its cause: in the same transaction, under the aggregate's lock."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from libs.events.contracts.base import Contract, encode
from libs.events.db import Connection, Pool
from libs.events.envelope import Envelope
from libs.events.ids import Ids, UlidSource
from libs.events.log_source import Stream
from libs.events.partition import partition_of
from libs.events.streams import begin_stream, streams_of

DATA_BYTES_MAX = 700_000
"""Payloads stay well below Kafka's limit for one message."""

COLUMNS = (
    "message_id, type, app, subject, time_us, correlation_id, causation_id, traceparent, actor, idempotency_key, data"
)


@dataclass(frozen=True, slots=True)
class Cause:
    """Why a message is sent: the message or request that caused it, and who acted."""

    correlation_id: str | None = None
    causation_id: str | None = None
    traceparent: str | None = None
    actor: str | None = None

    @classmethod
    def of(cls, envelope: Envelope) -> Cause:
        """The cause of whatever is sent because of `envelope`."""
        return cls(envelope.correlation_id or envelope.id, envelope.id, envelope.traceparent, envelope.actor)


def now_us() -> int:
    """The system's clock in microseconds since the epoch."""
    return time.time_ns() // 1000


class Outbox:
    """Writes messages of one service. `partitions` is the deployment's number; `clock` gives microseconds."""

    def __init__(self, source: str, partitions: int, clock: Callable[[], int] = now_us) -> None:
        self.source = source
        self._partitions = partitions
        self._clock = clock
        self._ulids = UlidSource()

    async def add(
        self,
        connection: Connection,
        message: Contract,
        *,
        app: str,
        user: str,
        cause: Cause,
        idempotency_key: str | None = None,
        topic: str | None = None,
    ) -> Envelope:
        """Add a message inside the caller's transaction, which must hold the lock of the aggregate it tells about.

        Events go to `<source>.events` and commands to `<service>.commands` of the service in their type's name, unless
        a `topic` is given. Raises ValueError for a payload that is too large.
        """
        data = encode(message)
        if len(data) > DATA_BYTES_MAX:
            raise ValueError(f"{message.TYPE}: {len(data)} bytes are more than {DATA_BYTES_MAX}")
        if topic is None:
            service = message.TYPE.partition(".")[0]
            topic = f"{self.source}.events" if message.KIND == "event" else f"{service}.commands"
        partition = partition_of(app, user, self._partitions)
        time_us = self._clock()
        envelope = Envelope(
            id=Ids(self._ulids, partition, time_us).new(message.KIND),
            source=self.source,
            type=message.TYPE,
            time_us=time_us,
            subject=user,
            app=app,
            data=data,
            correlation_id=cause.correlation_id,
            causation_id=cause.causation_id,
            traceparent=cause.traceparent,
            actor=cause.actor,
            idempotency_key=idempotency_key,
        )
        await connection.execute(
            f"INSERT INTO outbox (topic, partition, {COLUMNS})"
            " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)",
            topic,
            partition,
            envelope.id,
            envelope.type,
            app,
            user,
            time_us,
            envelope.correlation_id,
            envelope.causation_id,
            envelope.traceparent,
            envelope.actor,
            idempotency_key,
            data,
        )
        return envelope


def envelope_of(row: asyncpg.Record, source: str, **numbers: Any) -> Envelope:
    """The envelope in an outbox row; `numbers` are its stream, seq and prevseq where it has them."""
    return Envelope(
        id=row["message_id"],
        source=source,
        type=row["type"],
        time_us=row["time_us"],
        subject=row["subject"],
        app=row["app"],
        data=row["data"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        traceparent=row["traceparent"],
        actor=row["actor"],
        idempotency_key=row["idempotency_key"],
        **numbers,
    )


class OutboxLog:
    """The numbered part of the outbox as a log for relay and feed."""

    def __init__(self, source: str, pool: Pool) -> None:
        self._source = source
        self._pool = pool

    @property
    def source(self) -> str:
        """The name of the service."""
        return self._source

    async def heads(self) -> Mapping[tuple[str, int], int]:
        """The last numbered `seq` of each (topic, partition)."""
        rows = await self._pool.fetch("SELECT topic, partition, seq FROM outbox_heads")
        return {(row["topic"], row["partition"]): row["seq"] for row in rows}

    async def streams(self, topic: str, partition: int) -> Sequence[Stream]:
        """All incarnations of the outbox, the oldest first."""
        return await streams_of(self._pool, topic, partition)

    async def read(self, topic: str, partition: int, after: int, limit: int) -> Sequence[Envelope]:
        """Numbered messages after `after`, in order."""
        rows = await self._pool.fetch(
            f"SELECT {COLUMNS}, seq, prevseq,"
            " (SELECT stream FROM outbox_streams ORDER BY number DESC LIMIT 1) AS stream"
            " FROM outbox WHERE topic = $1 AND partition = $2 AND seq > $3 ORDER BY seq LIMIT $4",
            topic,
            partition,
            after,
            limit,
        )
        return [
            envelope_of(row, self._source, stream=row["stream"], seq=row["seq"], prevseq=row["prevseq"]) for row in rows
        ]


async def renew_stream(connection: Connection) -> str:
    """Begin a new incarnation, as after a restore; run as the owner. What is numbered now is shared."""
    return await begin_stream(
        connection, "SELECT topic, partition, seq FROM outbox_heads ORDER BY topic, partition FOR UPDATE"
    )
