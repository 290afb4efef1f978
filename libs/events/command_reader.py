"""The receiver's side of commands: read by Kafka offset, from cursors that commit with the commands' effects.

A cursor belongs to one incarnation of a broker's log (`cluster_id`); an empty broker begins anew. Reading a command
twice is harmless by its idempotency key, and a lost one is sent again by its sender.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

from libs.events.bus import Bus, BusUnavailable, ConsumerRecord, Reader, Start, TopicPartition
from libs.events.db import Connection
from libs.events.envelope import Envelope, Heartbeat, InvalidMessage, from_record, raw_json
from libs.events.partition import partition_key, partition_of

log = logging.getLogger(__name__)

Cursors = Callable[[str], Awaitable[Mapping[int, int]]]
"""Gives, for a `cluster_id`, the next offset of each partition that has a cursor."""


@dataclass(frozen=True, slots=True)
class CommandBatch:
    """Records of one partition in order, by offset. Commit `next_offset` as the cursor with their effects.

    What is no command for this partition is an :class:`InvalidMessage`, whose `message_id` is known where readable.
    """

    cluster_id: str
    topic: str
    partition: int
    items: list[tuple[int, Envelope | InvalidMessage]]
    next_offset: int


class CommandReader:
    """Reads given partitions of one command topic, for as long as it takes, over any number of broker incarnations.

    `partition_count` is the deployment's number of partitions, by which misrouted commands are told (reason
    `misrouted`). `batch`: records per fetch over all partitions; `fetch_bytes`: how much the broker may send at once
    for each.
    """

    def __init__(
        self,
        bus: Bus,
        topic: str,
        partitions: Iterable[int],
        partition_count: int,
        cursors: Cursors,
        *,
        batch: int = 4000,
        fetch_bytes: int = 2 << 20,
        retry_s: float = 0.5,
    ) -> None:
        self._bus = bus
        self._topic = topic
        self._partitions = list(partitions)
        self._partition_count = partition_count
        self._cursors = cursors
        self._batch = batch
        self._fetch_bytes = fetch_bytes
        self._retry_s = retry_s

    async def batches(self) -> AsyncGenerator[CommandBatch, None]:
        """Yield what arrives, one partition at a time, until the iteration is closed. A broker away only delays."""
        away = False
        while True:
            try:
                reader = await self._open()
                away = False
                try:
                    while True:
                        for place, records in (await reader.fetch(limit=self._batch)).items():
                            yield self._parse(reader.cluster_id, place.partition, records)
                finally:
                    await reader.close()
            except BusUnavailable as error:
                if not away:
                    log.warning("reading %s waits for the broker: %s", self._topic, error)
                away = True
                await asyncio.sleep(self._retry_s)

    async def _open(self) -> Reader:
        cursors = await self._cursors(await self._bus.cluster_id())
        starts: dict[TopicPartition, Start] = {
            TopicPartition(self._topic, partition): cursors.get(partition, "beginning")
            for partition in self._partitions
        }
        return await self._bus.reader(starts, fetch_bytes=self._fetch_bytes)

    def _parse(self, cluster_id: str, partition: int, records: list[ConsumerRecord]) -> CommandBatch:
        items: list[tuple[int, Envelope | InvalidMessage]] = []
        count = self._partition_count
        for record in records:
            try:
                command = from_record(record.headers, record.value)
            except InvalidMessage as error:
                items.append((record.offset, _with_raw(error, record)))
                continue
            if isinstance(command, Heartbeat):
                items.append((record.offset, _with_raw(InvalidMessage("heartbeat"), record)))
            elif (
                partition_of(command.app, command.subject, count) == partition
                and partition_key(command.app, command.subject) == record.key
            ):
                items.append((record.offset, command))
            else:
                wrong = InvalidMessage(
                    "misrouted",
                    f"{command.app}/{command.subject} does not belong to partition {partition}",
                    {"id": command.id, "source": command.source, "type": command.type, "app": command.app},
                )
                items.append((record.offset, _with_raw(wrong, record)))
        return CommandBatch(cluster_id, self._topic, partition, items, records[-1].offset + 1)


def _with_raw(error: InvalidMessage, record: ConsumerRecord) -> InvalidMessage:
    error.raw = raw_json(record.key, record.headers, record.value)
    return error


async def load_cursors(connection: Connection, cluster_id: str, topic: str) -> dict[int, int]:
    """The next offset of each partition in this incarnation of the log."""
    rows = await connection.fetch(
        "SELECT partition, next_offset FROM command_cursors WHERE cluster_id = $1 AND topic = $2", cluster_id, topic
    )
    return {row["partition"]: row["next_offset"] for row in rows}


async def store_cursors(connection: Connection, cluster_id: str, topic: str, next_offsets: Mapping[int, int]) -> None:
    """Move cursors in the transaction of the commands' effects."""
    await connection.execute(
        "INSERT INTO command_cursors (cluster_id, topic, partition, next_offset)"
        " SELECT $1, $2, * FROM unnest($3::int[], $4::bigint[])"
        " ON CONFLICT (cluster_id, topic, partition) DO UPDATE SET next_offset = excluded.next_offset",
        cluster_id,
        topic,
        list(next_offsets),
        list(next_offsets.values()),
    )
