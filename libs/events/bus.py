"""Kafka as this suite uses it; the only file that knows the client library.

Everything here may lose its broker at any moment, and find an empty one with another address and cluster id in its
place. So a connection is a :class:`_Session` with one broker incarnation: it is probed, it ends as a whole, and the
next use opens another. Nothing waits without a limit: the library's producer can hang in `send` and in `stop` after a
broker restart, and then it is abandoned.

Offsets are never kept in Kafka. Partitions are always named explicitly. Nothing published here is thereby safe: the
outbox, the feed and the sender's republishing are what make delivery certain.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, UnsupportedVersionError, for_code

from libs.events.address import AddressError, KafkaAddress, Place
from libs.events.envelope import Headers

__all__ = ["Bus", "BusUnavailable", "ConsumerRecord", "Message", "Reader", "Start", "TopicPartition"]

log = logging.getLogger(__name__)
# The client library reports every retry as an error; the bus itself says once when a broker comes and goes.
logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

BATCH_BYTES_MAX = 900_000
"""Below Kafka's default limit of 1 MB for a record batch."""

Start = int | Literal["beginning", "end"]
_FAILURES = (KafkaError, OSError, TimeoutError, AddressError)


class BusUnavailable(Exception):
    """The broker cannot be used now; try again later. `acknowledged` messages, from the first on, are in Kafka."""

    def __init__(self, detail: str, acknowledged: int = 0) -> None:
        super().__init__(detail)
        self.acknowledged = acknowledged


@dataclass(frozen=True, slots=True)
class Message:
    """One record to publish: key (None for heartbeats), payload, headers."""

    key: bytes | None
    value: bytes
    headers: Headers


@dataclass(slots=True)
class _Session:
    """One connection to one incarnation of a broker."""

    place: Place
    cluster_id: str
    admin: AIOKafkaAdminClient
    producer: AIOKafkaProducer
    ended: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def log_id(self) -> str:
        """What offsets are relative to. The embedded broker's cluster ids may repeat, so its start is part of it."""
        return f"{self.cluster_id}@{self.place.started}" if self.place.started else self.cluster_id

    async def unless_ended(self, work: Coroutine[Any, Any, None], timeout_s: float) -> None:
        """Do the work; ConnectionError as soon as the session ends, TimeoutError after the time limit."""
        doing = asyncio.create_task(work)
        ending = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait({doing, ending}, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            raise ConnectionError("the broker has gone") if ending.done() else TimeoutError
        finally:
            doing.cancel()
            ending.cancel()
            await asyncio.wait({doing, ending})


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
        self._session: _Session | None = None
        self._opening = asyncio.Lock()
        self._watcher: asyncio.Task[None] | None = None
        self._closing: set[asyncio.Task[None]] = set()

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
            self._end(self._session, "stopped")
        while self._closing:
            await asyncio.wait(self._closing)

    @property
    def healthy(self) -> bool:
        """Whether the broker answered the latest probe."""
        return self._session is not None

    async def cluster_id(self) -> str:
        """The id of the cluster that answers now; :class:`BusUnavailable` if none does."""
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
            for count, delivery in await self._send(session.producer, topic, partition, messages):
                await delivery
                acknowledged += count

        try:
            await session.unless_ended(deliver(), self._timeout_s)
        except _FAILURES as error:
            self._end(session, f"publishing failed: {error!r}")
            raise BusUnavailable(f"publishing to {topic}/{partition}: {error!r}", acknowledged) from error

    @staticmethod
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

    async def reader(self, starts: Mapping[TopicPartition, Start], *, fetch_bytes: int = 1 << 20) -> Reader:
        """A reader of these partitions, each from its offset, the "beginning" or the "end" of the log.

        An offset outside the log means its beginning. Raises :class:`BusUnavailable`.
        """
        session = await self._open()
        consumer = AIOKafkaConsumer(
            bootstrap_servers=session.place.bootstrap,
            client_id=self._client_id,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            request_timeout_ms=int(self._timeout_s * 1000),
            retry_backoff_ms=50,
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=fetch_bytes,
            **self._address.client_options(),
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                await consumer.start()
                consumer.assign(list(starts))
                ends = await consumer.end_offsets(list(starts))
                for place, start in starts.items():
                    if start == "end":
                        consumer.seek(place, ends[place])
                    elif isinstance(start, int) and start <= ends[place]:
                        consumer.seek(place, start)
                    else:
                        await consumer.seek_to_beginning(place)
        except _FAILURES as error:
            self._keep_closing(_close_consumer(consumer, self._timeout_s))
            self._end(session, f"reading failed: {error!r}")
            raise BusUnavailable(f"reading: {error!r}") from error
        except BaseException:
            self._keep_closing(_close_consumer(consumer, self._timeout_s))
            raise
        return Reader(self, session, consumer, self._timeout_s)

    async def end_offsets(self, topic: str, partitions: Sequence[int]) -> dict[int, int]:
        """The offset that the next message of each partition will get."""
        places: dict[TopicPartition, Start] = {TopicPartition(topic, partition): "end" for partition in partitions}
        reader = await self.reader(places)
        try:
            return {place.partition: offset for place, offset in (await reader.end_offsets()).items()}
        finally:
            await reader.close()

    async def _open(self) -> _Session:
        """The present session, or a new one."""
        async with self._opening:
            if self._session is None:
                try:
                    self._session = await self._connect()
                except _FAILURES as error:
                    raise BusUnavailable(f"connecting: {error!r}") from error
                log.info("connected to Kafka cluster %s at %s", self._session.cluster_id, self._session.place.bootstrap)
            return self._session

    async def _connect(self) -> _Session:
        place = self._address.place()
        options = {
            "bootstrap_servers": place.bootstrap,
            "client_id": self._client_id,
            "request_timeout_ms": int(self._timeout_s * 1000),
            "retry_backoff_ms": 50,
            **self._address.client_options(),
        }
        async with contextlib.AsyncExitStack() as undo, asyncio.timeout(self._timeout_s):
            admin = AIOKafkaAdminClient(**options)
            undo.push_async_callback(_close_admin, admin, self._timeout_s)
            await admin.start()
            cluster_id = await _ask_cluster_id(admin)
            await self._make_topics(admin)
            producer = AIOKafkaProducer(
                enable_idempotence=True,
                acks="all",
                linger_ms=self._linger_ms,
                max_batch_size=BATCH_BYTES_MAX,
                **options,
            )
            undo.push_async_callback(_close_producer, producer, self._timeout_s)
            await producer.start()
            undo.pop_all()
            return _Session(place, cluster_id, admin, producer)

    async def _make_topics(self, admin: AIOKafkaAdminClient) -> None:
        """Make what is missing; a topic that something else made with fewer partitions is widened."""
        found = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
        missing = [NewTopic(name, count, -1) for name, count in self._topics.items() if name not in found]
        if missing:
            try:
                answer = await admin.create_topics(missing)
            except UnsupportedVersionError as error:
                raise BusUnavailable(f"the broker has no topic {missing[0].name} and makes none") from error
            for name, code, *_ in answer.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise for_code(code)(name)
        narrow = {
            name: NewPartitions(total_count=count)
            for name, count in self._topics.items()
            if found.get(name, count) < count
        }
        if narrow:
            await admin.create_partitions(narrow)

    async def _watch(self) -> None:
        """End the session when the broker has gone, moved, or is another one under the same address."""
        while True:
            await asyncio.sleep(self._probe_s)
            session = self._session
            if session is None:
                continue
            try:
                if self._address.place() != session.place:
                    self._end(session, "the broker has moved")
                    continue
                async with asyncio.timeout(self._timeout_s):
                    cluster_id = await _ask_cluster_id(session.admin)
                if cluster_id != session.cluster_id:
                    self._end(session, f"another cluster answers: {cluster_id}")
            except _FAILURES as error:
                self._end(session, f"no answer: {error!r}")

    def _end(self, session: _Session, why: str) -> None:
        """Give the session up; its clients are closed, or abandoned, in the background."""
        if session.ended.is_set():
            return
        session.ended.set()
        if self._session is session:
            self._session = None
        log.info("leaving Kafka cluster %s: %s", session.cluster_id, why)
        self._keep_closing(_close_producer(session.producer, self._timeout_s))
        self._keep_closing(_close_admin(session.admin, self._timeout_s))

    def _keep_closing(self, closing: Any) -> None:
        task = asyncio.create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


class Reader:
    """Reads assigned partitions of one broker incarnation. Close it when it raises, and ask the bus for another."""

    def __init__(self, bus: Bus, session: _Session, consumer: AIOKafkaConsumer, timeout_s: float) -> None:
        self._bus = bus
        self._session = session
        self._consumer = consumer
        self._timeout_s = timeout_s
        self.cluster_id = session.log_id

    async def fetch(self, *, wait_s: float = 0.1, limit: int = 2000) -> dict[TopicPartition, list[ConsumerRecord]]:
        """What has arrived, waiting up to `wait_s`; at most `limit` records. Raises :class:`BusUnavailable`."""
        if self._session.ended.is_set():
            raise BusUnavailable("the broker has gone")
        try:
            records = await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=limit)
        except _FAILURES as error:
            self._bus._end(self._session, f"reading failed: {error!r}")
            raise BusUnavailable(f"reading: {error!r}") from error
        return dict(records)

    def pause(self, place: TopicPartition) -> None:
        """Fetch nothing more of this partition until it is resumed."""
        self._consumer.pause(place)

    def resume(self, place: TopicPartition) -> None:
        """Fetch this partition again."""
        self._consumer.resume(place)

    async def end_offsets(self) -> dict[TopicPartition, int]:
        """The offset after the last message, of each partition read."""
        try:
            async with asyncio.timeout(self._timeout_s):
                return dict(await self._consumer.end_offsets(list(self._consumer.assignment())))
        except _FAILURES as error:
            raise BusUnavailable(f"end offsets: {error!r}") from error

    async def close(self) -> None:
        """Close, within the time limit."""
        await _close_consumer(self._consumer, self._timeout_s)


async def _ask_cluster_id(admin: AIOKafkaAdminClient) -> str:
    return str((await admin.describe_cluster())["cluster_id"])


async def _close_consumer(consumer: AIOKafkaConsumer, timeout_s: float) -> None:
    """Close part by part: a fetch that is cancelled in its back-off escapes from the library's own `stop`."""
    consumer._closed = True
    if consumer._coordinator is not None:
        await _bounded(consumer._coordinator.close(), timeout_s)
    if consumer._fetcher is not None:
        await _bounded(consumer._fetcher.close(), timeout_s)
    await _bounded(consumer._client.close(), timeout_s)


async def _close_admin(admin: AIOKafkaAdminClient, timeout_s: float) -> None:
    await _bounded(admin.close(), timeout_s)


async def _close_producer(producer: AIOKafkaProducer, timeout_s: float) -> None:
    """Abandon a producer: its own `stop` waits for deliveries that a dead broker never acknowledges.

    Whoever waits for a delivery has its own limit and reports what was acknowledged, so nothing is lost by not waiting.
    """
    producer._closed = True
    await _bounded(producer._sender.close(), timeout_s)
    await _bounded(producer.client.close(), timeout_s)


async def _bounded(closing: Coroutine[Any, Any, None], timeout_s: float) -> None:
    """Wait for a clean-up up to the limit and ignore how it ends, even when it ends by its own cancellation."""
    task = asyncio.create_task(closing)
    await asyncio.wait({task}, timeout=timeout_s)
    task.cancel()
    await asyncio.wait({task}, timeout=timeout_s)
    if task.done() and not task.cancelled():
        task.exception()
