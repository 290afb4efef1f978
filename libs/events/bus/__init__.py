"""Kafka as this suite uses it; the only place that knows the client library.

Everything here may lose its broker at any moment, and find an empty one with another address and cluster id in its
place. So a connection is a session with one broker incarnation: it is probed, it ends as a whole, and the next use
opens another. Nothing waits without a limit: the library's producer can hang in `send` and in `stop` after a broker
restart, and then it is abandoned.

Offsets are never kept in Kafka. Partitions are always named explicitly. Nothing published here is thereby safe: the
outbox, the feed and the sender's republishing are what make delivery certain.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition

from libs.events.address import KafkaAddress
from libs.events.bus.closing import Cleanups
from libs.events.bus.reader import Reader, Start
from libs.events.bus.session import FAILURES, BusUnavailable, Session, connect
from libs.events.envelope import Headers
from libs.events.failpoints import reach

__all__ = ["Bus", "BusUnavailable", "ConsumerRecord", "Message", "Reader", "Start", "TopicPartition"]

# The client library reports every retry as an error; the bus itself says once when a broker comes and goes.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Message:
    """One record to publish: key (None for heartbeats), payload, headers."""

    key: bytes | None
    value: bytes
    headers: Headers


class Bus:
    """A process's access to Kafka. Use as an async context manager, or `start()` and `stop()`.

    `topics` (name → number of partitions) are made where the broker serves that; the embedded broker makes its own.
    All times are seconds: `timeout_s` bounds connecting, publishing and each probe; every `probe_s` the broker's
    address and cluster id are checked.
    """

    def __init__(
        self,
        address: KafkaAddress | str,
        topics: Mapping[str, int],
        *,
        client_id: str = "tallystick",
        timeout_s: float = 10.0,
        probe_s: float = 1.0,
        linger_ms: int = 2,
    ) -> None:
        self._address = KafkaAddress.parse(address) if isinstance(address, str) else address
        self._topics = dict(topics)
        self._client_id = client_id
        self._timeout_s = timeout_s
        self._probe_s = probe_s
        self._linger_ms = linger_ms
        self._session: Session | None = None
        self._cleanups = Cleanups()
        self._opening = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def start(self) -> None:
        """Begin to watch the broker. Connections are opened when first needed, so this cannot fail."""
        self._watcher = asyncio.create_task(self._watch(), name="bus-watch")

    async def stop(self) -> None:
        """Close everything, within the time limit."""
        if self._watcher is not None:
            self._watcher.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._watcher
        if self._session is not None:
            self._session.end("stopped")
        await self._cleanups.settle()

    async def cluster_id(self) -> str:
        """What offsets are relative to: the broker incarnation that answers now. Raises :class:`BusUnavailable`."""
        return (await self._open()).log_id

    async def publish(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        """Publish in order to one partition; returns when all of them are acknowledged by all replicas.

        Raises :class:`BusUnavailable`, which says how many from the first on were acknowledged, and ValueError for a
        message that no batch can hold.
        """
        session = await self._open()
        acknowledged = 0

        async def deliver() -> None:
            nonlocal acknowledged
            for count, delivery in await _send(session.producer, topic, partition, messages):
                await delivery
                acknowledged += count
                reach("bus.delivered")

        try:
            await session.unless_ended(deliver())
        except FAILURES as error:
            session.end(f"publishing failed: {error!r}")
            raise BusUnavailable(f"publishing to {topic}/{partition}: {error!r}", acknowledged) from error

    async def reader(self, starts: Mapping[TopicPartition, Start], *, fetch_bytes: int = 1 << 20) -> Reader:
        """A reader of these partitions, each from its start. Raises :class:`BusUnavailable`."""
        return await Reader.open(await self._open(), starts, fetch_bytes)

    async def end_offsets(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """The offset that the next message of each partition will get. Raises :class:`BusUnavailable`."""
        reader = await self.reader({TopicPartition(topic, partition): "end" for partition in partitions})
        try:
            return {place.partition: offset for place, offset in (await reader.end_offsets()).items()}
        finally:
            await reader.close()

    async def last_records(self, topic: str, partitions: Sequence[int]) -> dict[int, ConsumerRecord]:
        """The last message of each partition that has any. Raises :class:`BusUnavailable`."""
        ends = await self.end_offsets(topic, partitions)
        starts: dict[TopicPartition, Start] = {
            TopicPartition(topic, partition): end - 1 for partition, end in ends.items() if end > 0
        }
        if not starts:
            return {}
        reader = await self.reader(starts)
        last: dict[int, ConsumerRecord] = {}
        try:
            async with asyncio.timeout(self._timeout_s):
                # A partition whose messages have all been dropped by age has an end and no last message.
                while len(last) < len(starts) and (found := await reader.fetch(wait_s=1.0)):
                    last |= {place.partition: records[-1] for place, records in found.items()}
        except TimeoutError as error:
            raise BusUnavailable(f"reading the end of {topic}") from error
        finally:
            await reader.close()
        return last

    async def _open(self) -> Session:
        """The present session, or a new one."""
        async with self._opening:
            if self._session is None or self._session.ended.is_set():
                self._session = await connect(
                    self._address,
                    self._topics,
                    self._cleanups,
                    client_id=self._client_id,
                    timeout_s=self._timeout_s,
                    linger_ms=self._linger_ms,
                )
            return self._session

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(self._probe_s)
            if self._session is not None and not self._session.ended.is_set():
                await self._session.probe(self._address)


async def _send(
    producer: AIOKafkaProducer, topic: str, partition: int, messages: Sequence[Message]
) -> list[tuple[int, asyncio.Future[Any]]]:
    """Hand whole batches to the producer: a tenth of the cost of one message at a time."""
    sent: list[tuple[int, asyncio.Future[Any]]] = []
    batch = producer.create_batch()
    for message in messages:
        while batch.append(timestamp=None, key=message.key, value=message.value, headers=message.headers) is None:
            if batch.record_count() == 0:
                raise ValueError(f"a message of {len(message.value)} bytes is too large for Kafka")
            sent.append((batch.record_count(), await producer.send_batch(batch, topic, partition=partition)))
            batch = producer.create_batch()
    if batch.record_count():
        sent.append((batch.record_count(), await producer.send_batch(batch, topic, partition=partition)))
    for _, delivery in sent:
        # The first failure is reported; the others must not be reported as never retrieved.
        delivery.add_done_callback(lambda done: done.cancelled() or done.exception())
    return sent
