"""The event table as a log that the relay publishes and the feed serves: `seq` is the position in the partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncpg import Record

from libs.events.envelope import Envelope
from libs.events.log_source import Stream
from libs.events.streams import begin_stream, streams_of
from libs.service.clock import from_datetime
from libs.service.db import Connection, Pool

EVENTS_TOPIC = "ledger.events"
COMMANDS_TOPIC = "ledger.commands"
SOURCE = "ledger"

_COLUMNS = (
    "position, app, user_id, type, event_id, correlation_id, causation_id, actor, idempotency_key, time, payload,"
    " traceparent"
)


class LedgerLog:
    """The `LogSource` of `ledger.events`: Kafka partition *i* carries log partition *i*."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @property
    def source(self) -> str:
        """The service whose log this is."""
        return SOURCE

    async def heads(self) -> Mapping[tuple[str, int], int]:
        """The last position of each partition."""
        rows = await self._pool.fetch("SELECT partition, position FROM heads")
        return {(EVENTS_TOPIC, row["partition"]): row["position"] for row in rows}

    async def streams(self, topic: str, partition: int) -> Sequence[Stream]:
        """All incarnations of the log, the oldest first."""
        return await streams_of(self._pool, topic, partition)

    async def read(self, topic: str, partition: int, after: int, limit: int) -> Sequence[Envelope]:
        """Events after position `after`, in order."""
        if topic != EVENTS_TOPIC:
            return []
        rows = await self._pool.fetch(
            f"SELECT {_COLUMNS}, (SELECT stream FROM outbox_streams ORDER BY number DESC LIMIT 1) AS stream"
            " FROM events WHERE partition = $1 AND position > $2 ORDER BY position LIMIT $3",
            partition,
            after,
            limit,
        )
        return [_envelope(row) for row in rows]


def _envelope(row: Record) -> Envelope:
    position = row["position"]
    return Envelope(
        id=row["event_id"],
        source=SOURCE,
        type=row["type"],
        time_us=from_datetime(row["time"]),
        subject=row["user_id"],
        app=row["app"],
        data=row["payload"],
        correlation_id=row["correlation_id"],
        causation_id=row["causation_id"],
        traceparent=row["traceparent"],
        stream=row["stream"],
        seq=position,
        prevseq=position - 1,
        actor=row["actor"],
        idempotency_key=row["idempotency_key"] or None,
    )


async def renew_stream(connection: Connection) -> str:
    """Begin a new incarnation of the log, as after a restore; run as the owner. What is in the log now is shared."""
    heads = "SELECT $1::text, partition, position FROM heads ORDER BY partition FOR UPDATE"
    return await begin_stream(connection, heads, EVENTS_TOPIC)
