"""Reads assigned partitions from one broker incarnation."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Literal

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from libs.events.bus.closing import close_consumer, started, tend
from libs.events.bus.session import FAILURES, BusUnavailable, Session

Start = int | Literal["beginning", "end"]
"""Where to begin: an offset (one outside the log means its beginning), or an end of the log."""


class Reader:
    """Close it when it raises :class:`BusUnavailable`, and ask the bus for another."""

    def __init__(self, session: Session, consumer: AIOKafkaConsumer) -> None:
        self._session = session
        self._consumer = consumer
        self.cluster_id = session.log_id

    @classmethod
    async def open(cls, session: Session, starts: Mapping[TopicPartition, Start], fetch_bytes: int) -> Reader:
        """Begin to read; `fetch_bytes` is what the broker may send at once for one partition."""
        consumer = AIOKafkaConsumer(
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            fetch_max_wait_ms=100,
            max_partition_fetch_bytes=fetch_bytes,
            **session.client_options,
        )
        tend(consumer._client)
        try:
            async with asyncio.timeout(session.timeout_s):
                await started(consumer.start(), session.cleanups, session.timeout_s)
                consumer.assign(list(starts))
                ends = await consumer.end_offsets(list(starts))
                for place, start in starts.items():
                    if start == "end":
                        consumer.seek(place, ends[place])
                    elif isinstance(start, int) and start <= ends[place]:
                        consumer.seek(place, start)
                    else:
                        await consumer.seek_to_beginning(place)
        except BaseException as error:
            session.cleanups.begin(close_consumer(consumer, session.timeout_s))
            if not isinstance(error, FAILURES):
                raise
            session.end(f"reading failed: {error!r}")
            raise BusUnavailable(f"reading: {error!r}") from error
        return cls(session, consumer)

    async def fetch(self, *, wait_s: float = 0.1, limit: int = 2000) -> dict[TopicPartition, list[ConsumerRecord]]:
        """What has arrived, waiting up to `wait_s`; at most `limit` records. Raises :class:`BusUnavailable`."""
        if self._session.ended.is_set():
            raise BusUnavailable("the broker has gone")
        try:
            return dict(await self._consumer.getmany(timeout_ms=int(wait_s * 1000), max_records=limit))
        except FAILURES as error:
            self._session.end(f"reading failed: {error!r}")
            raise BusUnavailable(f"reading: {error!r}") from error

    def pause(self, place: TopicPartition) -> None:
        """Fetch nothing more of this partition until it is resumed."""
        self._consumer.pause(place)

    def resume(self, place: TopicPartition) -> None:
        """Fetch this partition again."""
        self._consumer.resume(place)

    async def end_offsets(self) -> dict[TopicPartition, int]:
        """The offset after the last message, of each partition read. Raises :class:`BusUnavailable`."""
        try:
            async with asyncio.timeout(self._session.timeout_s):
                return dict(await self._consumer.end_offsets(list(self._consumer.assignment())))
        except FAILURES as error:
            raise BusUnavailable(f"end offsets: {error!r}") from error

    async def close(self) -> None:
        """Close, within the time limit."""
        await asyncio.shield(self._session.cleanups.begin(close_consumer(self._consumer, self._session.timeout_s)))
