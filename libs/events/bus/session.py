"""A connection to one incarnation of a broker, which ends as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Mapping
from typing import Any

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from libs.events.address import AddressError, KafkaAddress, Place
from libs.events.bus.closing import Cleanups, close_admin, close_producer, started, tend

log = logging.getLogger(__name__)

BATCH_BYTES_MAX = 900_000
"""Below Kafka's default limit of 1 MB for a record batch."""

RETRY_BACKOFF_MS = 50

REPLICAS = 3
"""Copies of each message where there are so many brokers."""

FAILURES = (KafkaError, OSError, TimeoutError, AddressError)


class BusUnavailable(Exception):
    """The broker cannot be used now; try again later. `acknowledged` messages, from the first on, are in Kafka."""

    def __init__(self, detail: str, acknowledged: int = 0) -> None:
        super().__init__(detail)
        self.acknowledged = acknowledged


class Session:
    """What talks to one broker incarnation. Every wait has the limit `timeout_s` (seconds)."""

    def __init__(
        self,
        place: Place,
        *,
        cluster_id: str,
        admin: AIOKafkaAdminClient,
        producer: AIOKafkaProducer,
        client_options: Mapping[str, Any],
        timeout_s: float,
        cleanups: Cleanups,
    ) -> None:
        self.place = place
        self.cluster_id = cluster_id
        self.producer = producer
        self.client_options = client_options
        self.timeout_s = timeout_s
        self.cleanups = cleanups
        self.ended = asyncio.Event()
        self._admin = admin

    @property
    def log_id(self) -> str:
        """What offsets are relative to. The embedded broker's cluster ids may repeat, so its start is part of it."""
        return f"{self.cluster_id}@{self.place.started}" if self.place.started else self.cluster_id

    def end(self, why: str) -> None:
        """Give the broker up; the clients are closed, or abandoned, in the background."""
        if self.ended.is_set():
            return
        self.ended.set()
        log.info("leaving Kafka cluster %s: %s", self.cluster_id, why)
        self.cleanups.begin(close_producer(self.producer, self.timeout_s))
        self.cleanups.begin(close_admin(self._admin, self.timeout_s))

    async def probe(self, address: KafkaAddress) -> None:
        """End when the broker has gone, moved, or is another one under the same address."""
        try:
            if address.place() != self.place:
                return self.end("the broker has moved")
            async with asyncio.timeout(self.timeout_s):
                cluster_id = await _cluster_id(self._admin)
            if cluster_id != self.cluster_id:
                self.end(f"another cluster answers: {cluster_id}")
        except FAILURES as error:
            self.end(f"no answer: {error!r}")

    async def unless_ended(self, work: Coroutine[Any, Any, None]) -> None:
        """Do the work; ConnectionError as soon as the session ends, TimeoutError after the limit."""
        doing = asyncio.create_task(work)
        ending = asyncio.create_task(self.ended.wait())
        try:
            await asyncio.wait({doing, ending}, timeout=self.timeout_s, return_when=asyncio.FIRST_COMPLETED)
            if doing.done():
                return doing.result()
            raise ConnectionError("the broker has gone") if ending.done() else TimeoutError
        finally:
            doing.cancel()
            ending.cancel()
            await asyncio.wait({doing, ending})


async def connect(
    address: KafkaAddress,
    topics: Mapping[str, int],
    cleanups: Cleanups,
    *,
    client_id: str,
    timeout_s: float,
    linger_ms: int,
) -> Session:
    """Connect to the broker that is there now and make the topics it lacks. Raises :class:`BusUnavailable`."""
    with contextlib.ExitStack() as undo:
        try:
            place = address.place()
            options = {
                "bootstrap_servers": place.bootstrap,
                "client_id": client_id,
                "request_timeout_ms": int(timeout_s * 1000),
                "retry_backoff_ms": RETRY_BACKOFF_MS,
                **address.client_options(),
            }
            async with asyncio.timeout(timeout_s):
                admin = AIOKafkaAdminClient(**options)
                undo.callback(lambda: cleanups.begin(close_admin(admin, timeout_s)))
                tend(admin._client)
                await started(admin.start(), cleanups, timeout_s)
                cluster_id = await _cluster_id(admin)
                await _make_topics(admin, topics)
                producer = AIOKafkaProducer(
                    enable_idempotence=True, acks="all", linger_ms=linger_ms, max_batch_size=BATCH_BYTES_MAX, **options
                )
                undo.callback(lambda: cleanups.begin(close_producer(producer, timeout_s)))
                tend(producer.client)
                await started(producer.start(), cleanups, timeout_s)
        except FAILURES as error:
            raise BusUnavailable(f"connecting: {error!r}") from error
        undo.pop_all()
    log.info("connected to Kafka cluster %s at %s", cluster_id, place.bootstrap)
    return Session(
        place,
        cluster_id=cluster_id,
        admin=admin,
        producer=producer,
        client_options=options,
        timeout_s=timeout_s,
        cleanups=cleanups,
    )


async def _cluster_id(admin: AIOKafkaAdminClient) -> str:
    return str((await admin.describe_cluster())["cluster_id"])


async def _make_topics(admin: AIOKafkaAdminClient, topics: Mapping[str, int]) -> None:
    """Make what is missing; a topic that something else made with fewer partitions is widened."""
    found = {topic["topic"]: len(topic["partitions"]) for topic in await admin.describe_topics()}
    missing = [name for name in topics if name not in found]
    if missing:
        brokers = (await admin.describe_cluster())["brokers"]
        if admin._client.cluster.controller is None:
            raise BusUnavailable(f"the broker has no topic {missing[0]} and makes none")
        copies = min(REPLICAS, len(brokers))
        answer = await admin.create_topics([NewTopic(name, topics[name], copies) for name in missing])
        for name, code, *_ in answer.topic_errors:
            if code and for_code(code) is not TopicAlreadyExistsError:
                raise for_code(code)(name)
    narrow = {
        name: NewPartitions(total_count=count) for name, count in topics.items() if found.get(name, count) < count
    }
    if narrow:
        await admin.create_partitions(narrow)
