"""Consumes the events of other services, each exactly once in its effect.

The checkpoint of each (source, topic, partition) lies in the consumer's own database and moves, by compare-and-set, in
the transaction of the handler's effects. Kafka is only the fast way: a reader starts at the end of Kafka's log, and
whatever that leaves out comes from the source's feed. See `partition_consumer.py` for how one partition is followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from libs.events.bus import Bus, BusUnavailable, Reader, TopicPartition
from libs.events.contracts.base import Contract
from libs.events.db import Pool
from libs.events.dead_letters import PermanentError, open_by_source, revive
from libs.events.envelope import InvalidMessage, from_record, raw_json
from libs.events.feed import Feed
from libs.events.handling import Handler, Handling, Observer, PassingError, Rebuild, Times
from libs.events.metrics import CONSUMER_LAG, DEAD_LETTERS_OPEN
from libs.events.outbox import Outbox
from libs.events.partition_consumer import PartitionConsumer, Resync, Unreadable
from libs.events.tasks import run_together

__all__ = ["Consumer", "Handler", "Observer", "PassingError", "PermanentError", "Rebuild", "Subscription", "Times"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Subscription:
    """What to consume: partitions of one topic of one source, and where its feed is."""

    source: str
    topic: str
    partitions: Sequence[int]
    feed: Feed


class Consumer:
    """One consumer of any number of sources. `on` maps contracts to handlers; other types only move the checkpoint.

    `observers` see every event of a transaction beside the handlers. `outbox`, if given, takes copies of dead letters.
    `rebuild` is called when a source was restored to before what was consumed. Handlers run in the transaction that
    moves the checkpoint; they raise :class:`PermanentError` for what can never succeed and
    :class:`PassingError` for what will; an unexpected error is tried a few times.
    """

    def __init__(
        self,
        name: str,
        pool: Pool,
        bus: Bus,
        subscriptions: Sequence[Subscription],
        on: Mapping[type[Contract], Handler],
        *,
        observers: Sequence[Observer] = (),
        outbox: Outbox | None = None,
        rebuild: Rebuild | None = None,
        times: Times | None = None,
    ) -> None:
        self._name = name
        self._pool = pool
        self._bus = bus
        self._times = times or Times()
        self._handling = Handling(name, pool, {model.TYPE: handler for model, handler in on.items()}, observers, outbox)
        self._parts = {
            TopicPartition(one.topic, partition): PartitionConsumer(
                self._handling,
                source=one.source,
                topic=one.topic,
                partition=partition,
                feed=one.feed,
                rebuild=rebuild,
                times=self._times,
            )
            for one in subscriptions
            for partition in one.partitions
        }
        self._sources = {one.source for one in subscriptions}

    async def run(self) -> None:
        """Consume until cancelled. Raises :class:`Fenced` when another process has moved a checkpoint of ours."""
        await run_together(*[part.run() for part in self._parts.values()], self._read(), self._attend())

    @property
    def lag(self) -> dict[str, int]:
        """How many known events of each source are not consumed yet."""
        return {
            source: sum(part.lag for part in self._parts.values() if part.source == source) for source in self._sources
        }

    async def _read(self) -> None:
        """Move messages from Kafka into the partitions' buffers."""
        away = False
        while True:
            try:
                # From the end on: what came before it is what the feed is asked for next.
                reader = await self._bus.reader(dict.fromkeys(self._parts, "end"))
                away = False
                self._resync()
                try:
                    await self._pump(reader)
                finally:
                    await reader.close()
            except BusUnavailable as error:
                if not away:
                    log.warning("%s reads feeds until the broker is back: %s", self._name, error)
                    self._resync()
                away = True
                await asyncio.sleep(self._times.retry_first_s)

    def _resync(self) -> None:
        for part in self._parts.values():
            part.put(Resync(), 0)

    async def _pump(self, reader: Reader) -> None:
        paused: set[TopicPartition] = set()
        while True:
            for place, records in (await reader.fetch()).items():
                part = self._parts[place]
                for record in records:
                    size = len(record.value or b"") + 1000
                    try:
                        part.put(from_record(record.headers, record.value), size)
                    except InvalidMessage as error:
                        error.raw = raw_json(record.key, record.headers, record.value)
                        part.put(Unreadable(error, reader.cluster_id, record.offset), size)
                if part.full:
                    reader.pause(place)
                    paused.add(place)
            for place in [place for place in paused if not self._parts[place].full]:
                reader.resume(place)
                paused.remove(place)

    async def _attend(self) -> None:
        """Replay what somebody asked for, and keep the metrics true."""
        while True:
            for source, lag in self.lag.items():
                CONSUMER_LAG.labels(source).set(lag)
            with contextlib.suppress(*Handling.PASSING):
                for row in await self._pool.fetch(
                    "SELECT id FROM dead_letters WHERE consumer = $1 AND replay_requested_at IS NOT NULL"
                    " AND replayed_at IS NULL ORDER BY id LIMIT 100",
                    self._name,
                ):
                    await self.replay(row["id"])
                counts = await open_by_source(self._pool, self._name)
                for source in self._sources:
                    DEAD_LETTERS_OPEN.labels(source).set(counts.get(source, 0))
            await asyncio.sleep(self._times.attend_s)

    async def replay(self, dead_letter: int) -> bool:
        """Handle a dead letter again, now; whether it succeeded. A failure is recorded as its new detail."""
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                body = await connection.fetchval(
                    "SELECT message FROM dead_letters WHERE id = $1 AND consumer = $2 AND replayed_at IS NULL"
                    " FOR UPDATE",
                    dead_letter,
                    self._name,
                )
                if body is None:
                    return False
                await self._handling.handle(connection, [revive(body)])
                await connection.execute("UPDATE dead_letters SET replayed_at = now() WHERE id = $1", dead_letter)
        except Handling.PASSING:
            raise
        except Exception as error:
            log.warning("replaying dead letter %d failed: %r", dead_letter, error)
            await self._pool.execute(
                "UPDATE dead_letters SET replay_requested_at = NULL, detail = $2 WHERE id = $1",
                dead_letter,
                str(error).replace("\x00", "�")[:2000],
            )
            return False
        return True
