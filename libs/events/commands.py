"""The sender's side of commands: written with their cause, sent until their outcome is known, awaited by id.

The receiver answers every command with an event whose causation id is the command's id. A command without an outcome is
published again under the same id and key, which the receiver's idempotency makes harmless, for as long as it takes.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import asyncpg

from libs.events.bus import Bus, BusUnavailable, Message, TopicPartition
from libs.events.contracts.base import Command
from libs.events.db import Connection, Pool
from libs.events.envelope import Envelope, InvalidMessage, from_record, to_headers
from libs.events.metrics import COMMANDS_OVERDUE, COMMANDS_REPUBLISHED
from libs.events.outbox import COLUMNS, Cause, Outbox, envelope_of

log = logging.getLogger(__name__)

REPUBLISH_AFTER_S = 5.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a command: the event that answered it."""

    command_id: str
    event_id: str
    type: str
    data: bytes


async def send_command(
    connection: Connection,
    outbox: Outbox,
    command: Command,
    *,
    app: str,
    user: str,
    idempotency_key: str,
    cause: Cause,
    republish_after_s: float = REPUBLISH_AFTER_S,
) -> str:
    """Send a command with the caller's transaction, which must hold the lock of what causes it; returns its id.

    `republish_after_s`: how long to wait for an outcome before it is published again.
    """
    envelope = await outbox.add(connection, command, app=app, user=user, cause=cause, idempotency_key=idempotency_key)
    await connection.execute(
        "INSERT INTO sent_commands (command_id, due_at) VALUES ($1, clock_timestamp() + make_interval(secs => $2))",
        envelope.id,
        republish_after_s,
    )
    return envelope.id


class OutcomeRecorder:
    """An observer for the sender's :class:`~libs.events.consumer.Consumer` of the receiver's events.

    The first event caused by a command is its outcome; types in `side_events` tell what happened beside it and are
    passed over.
    """

    def __init__(self, side_events: Collection[str] = ("ledger.account_opened.v1",)) -> None:
        self._side_events = frozenset(side_events)

    async def __call__(self, connection: Connection, events: Sequence[Envelope]) -> None:
        """Record outcomes in the transaction that consumes the events."""
        answers: dict[str, Envelope] = {}
        for event in events:
            if event.causation_id is not None and event.type not in self._side_events:
                answers.setdefault(event.causation_id, event)
        if not answers:
            return
        await connection.execute(
            "UPDATE sent_commands s SET outcome_id = a.id, outcome_type = a.type, outcome_data = a.data,"
            " answered_at = clock_timestamp()"
            " FROM unnest($1::text[], $2::text[], $3::text[], $4::bytea[]) AS a (command_id, id, type, data)"
            " WHERE s.command_id = a.command_id AND s.answered_at IS NULL",
            list(answers),
            [event.id for event in answers.values()],
            [event.type for event in answers.values()],
            [event.data for event in answers.values()],
        )


async def recorded_outcome(pool: Pool, command_id: str) -> Outcome | None:
    """The outcome as the consumer recorded it, if it has."""
    row = await pool.fetchrow(
        "SELECT outcome_id, outcome_type, outcome_data FROM sent_commands"
        " WHERE command_id = $1 AND answered_at IS NOT NULL",
        command_id,
    )
    return None if row is None else Outcome(command_id, row["outcome_id"], row["outcome_type"], row["outcome_data"])


class Answers:
    """Lets a process wait for outcomes: tails the receiver's events by its own assignment, and asks the table.

    The tail is quick but may miss what a broker loses; the table is certain, and is asked every `poll_s` seconds.
    """

    def __init__(
        self,
        pool: Pool,
        bus: Bus,
        topic: str,
        partitions: int,
        *,
        side_events: Collection[str] = ("ledger.account_opened.v1",),
        poll_s: float = 0.5,
        retry_s: float = 0.5,
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._places = [TopicPartition(topic, partition) for partition in range(partitions)]
        self._side_events = frozenset(side_events)
        self._poll_s = poll_s
        self._retry_s = retry_s
        self._waiting: dict[str, asyncio.Future[Outcome]] = {}

    async def outcome(self, command_id: str, timeout_s: float) -> Outcome:
        """Wait for a command that is committed; TimeoutError when nothing is known in time (ask again later)."""
        loop = asyncio.get_running_loop()
        waiter = self._waiting.setdefault(command_id, loop.create_future())
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    known = await recorded_outcome(self._pool, command_id)
                    if known is not None:
                        return known
                    done, _ = await asyncio.wait({waiter}, timeout=self._poll_s)
                    if done:
                        return waiter.result()
        finally:
            self._waiting.pop(command_id, None)

    async def run(self) -> None:
        """Tail until cancelled. While the broker is away only the table tells outcomes."""
        while True:
            with contextlib.suppress(BusUnavailable):
                reader = await self._bus.reader(dict.fromkeys(self._places, "end"))
                try:
                    while True:
                        for records in (await reader.fetch()).values():
                            for record in records:
                                self._see(record.headers, record.value)
                finally:
                    await reader.close()
            await asyncio.sleep(self._retry_s)

    def _see(self, headers: Sequence[tuple[str, bytes]], value: bytes | None) -> None:
        if not self._waiting:
            return
        try:
            event = from_record(headers, value)
        except InvalidMessage:
            return
        if not isinstance(event, Envelope) or event.causation_id is None or event.type in self._side_events:
            return
        waiter = self._waiting.get(event.causation_id)
        if waiter is not None and not waiter.done():
            waiter.set_result(Outcome(event.causation_id, event.id, event.type, event.data))


class Republisher:
    """Publishes commands again that have no outcome: the first time when due, then with doubling pauses.

    After `alarm_after_s` without an outcome a command counts in the gauge `command_outcome_overdue` and is sent every
    `pause_max_s`. All are seconds.
    """

    def __init__(
        self,
        pool: Pool,
        bus: Bus,
        source: str,
        *,
        pause_first_s: float = REPUBLISH_AFTER_S,
        pause_max_s: float = 3600.0,
        alarm_after_s: float = 3600.0,
        poll_s: float = 0.5,
        batch: int = 200,
    ) -> None:
        self._pool = pool
        self._bus = bus
        self._source = source
        self._pause_first_s = pause_first_s
        self._pause_max_s = pause_max_s
        self._alarm_after_s = alarm_after_s
        self._poll_s = poll_s
        self._batch = batch

    async def run(self) -> None:
        """Republish until cancelled; while the broker is away, commands stay due."""
        while True:
            try:
                sent = await self.step()
            except BusUnavailable as error:
                log.info("republishing waits for the broker: %s", error)
                sent = 0
            if sent < self._batch:
                await asyncio.sleep(self._poll_s)

    async def step(self) -> int:
        """Publish what is due, up to a batch; how many commands."""
        await self._watch()
        async with self._pool.acquire() as connection, connection.transaction():
            # Only numbered commands: the others have not been published for the first time yet.
            rows = await connection.fetch(
                "UPDATE sent_commands s SET attempts = attempts + 1, due_at = clock_timestamp()"
                "  + make_interval(secs => least($2 * 2::float8 ^ least(s.attempts, 40), $3))"
                " FROM outbox o WHERE o.message_id = s.command_id AND s.command_id IN ("
                "  SELECT d.command_id FROM sent_commands d JOIN outbox n ON n.message_id = d.command_id"
                "  WHERE d.answered_at IS NULL AND d.due_at <= clock_timestamp() AND n.seq IS NOT NULL"
                "  ORDER BY d.due_at LIMIT $1 FOR UPDATE OF d SKIP LOCKED)"
                f" RETURNING o.id, o.topic, o.partition, {_qualified()}",
                self._batch,
                self._pause_first_s,
                self._pause_max_s,
            )
            # Within the transaction: if the broker is away, nothing counts as sent.
            await self._publish(sorted(rows, key=lambda row: row["id"]))
        COMMANDS_REPUBLISHED.inc(len(rows))
        return len(rows)

    async def _publish(self, rows: Sequence[asyncpg.Record]) -> None:
        places: dict[tuple[str, int], list[Message]] = {}
        for row in rows:
            command = envelope_of(row, self._source)
            message = Message(command.key, command.data, to_headers(command))
            places.setdefault((row["topic"], row["partition"]), []).append(message)
        for (topic, partition), messages in places.items():
            await self._bus.publish(topic, partition, messages)

    async def _watch(self) -> None:
        overdue = await self._pool.fetchval(
            "SELECT count(*) FROM sent_commands WHERE answered_at IS NULL"
            " AND sent_at < clock_timestamp() - make_interval(secs => $1)",
            self._alarm_after_s,
        )
        COMMANDS_OVERDUE.labels(self._source).set(overdue)


def _qualified() -> str:
    return ", ".join(f"o.{column.strip()}" for column in COLUMNS.split(","))
