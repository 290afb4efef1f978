"""Follows one (source, topic, partition): Kafka when it is contiguous, the feed whenever it is not."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from libs.events.db import Connection, Fenced, changed
from libs.events.dead_letters import PermanentError, Place, bury
from libs.events.envelope import Envelope, Heartbeat, InvalidMessage
from libs.events.failpoints import reach
from libs.events.feed import Feed, FeedPage, FeedUnavailable
from libs.events.handling import Handling, Rebuild, Times
from libs.events.log_source import Stream
from libs.events.metrics import CHECKPOINTS_LOST, CONSUMER_AGE, CONSUMER_DUPLICATES, CONSUMER_GAPS, CONSUMER_RETRIES

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Resync:
    """The reader begins anew: something may lie between the checkpoint and what it will bring."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A Kafka record that is no message of ours."""

    error: InvalidMessage
    cluster_id: str
    offset: int


Item = Envelope | Heartbeat | Unreadable | Resync


class PartitionConsumer:
    """One partition's buffer, checkpoint and loop."""

    def __init__(
        self,
        handling: Handling,
        *,
        source: str,
        topic: str,
        partition: int,
        feed: Feed,
        rebuild: Rebuild | None,
        times: Times,
    ) -> None:
        self.source = source
        self._handling = handling
        self._topic = topic
        self._partition = partition
        self._feed = feed
        self._rebuild = rebuild
        self._times = times
        self._buffer: deque[tuple[Item, int]] = deque()
        self._bytes = 0
        self._arrived = asyncio.Event()
        self._stream = ""
        self._seq = 0
        self._head = 0
        self._stale: set[str] = set()
        self._age = CONSUMER_AGE.labels(source)

    def put(self, item: Item, size: int) -> None:
        """Buffer what was read; `size` in bytes."""
        self._buffer.append((item, size))
        self._bytes += size
        self._arrived.set()

    @property
    def full(self) -> bool:
        """Whether nothing more should be read for now."""
        return self._bytes > self._times.buffer_bytes

    @property
    def lag(self) -> int:
        """How many known events are not consumed yet."""
        return max(0, self._head - self._seq)

    async def run(self) -> None:
        """Follow until cancelled or :class:`Fenced`; every passing failure holds this partition only."""
        known = False
        pause_s = self._times.retry_first_s
        items: list[Item] = []
        while True:
            try:
                if not known:
                    await self._load()
                    known = True
                items = items or await self._next()
                await self._take(items)
                items = []
                pause_s = self._times.retry_first_s
            except (FeedUnavailable, *Handling.PASSING) as error:
                # A commit may have happened whose answer was lost, so the checkpoint is read again. The items stay:
                # those that were taken already are dropped by their seq.
                known = False
                CONSUMER_RETRIES.inc()
                log.warning("%s/%d of %s waits %.1f s: %r", self._topic, self._partition, self.source, pause_s, error)
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, self._times.retry_max_s)

    async def _next(self) -> list[Item]:
        """What is buffered, up to a batch; after too long a silence, a reason to ask the feed."""
        if not self._buffer:
            self._arrived.clear()
            try:
                async with asyncio.timeout(self._times.silence_s):
                    await self._arrived.wait()
            except TimeoutError:
                return [Resync()]
        items: list[Item] = []
        while self._buffer and len(items) < self._times.batch:
            item, size = self._buffer.popleft()
            self._bytes -= size
            items.append(item)
        return items

    async def _take(self, items: Sequence[Item]) -> None:
        run: list[Envelope] = []
        for item in items:
            if isinstance(item, Envelope) and item.stream == self._stream and item.source == self.source:
                last = run[-1].seq if run else self._seq
                if item.prevseq == last:
                    run.append(item)
                    continue
            await self._apply(run)
            run = []
            if isinstance(item, Envelope):
                run = await self._take_odd(item)
            elif isinstance(item, Heartbeat):
                if await self._is_present(item.stream) and item.seq > self._seq:
                    await self._fill_gap(item.seq)
            elif isinstance(item, Unreadable):
                await self._bury_record(item)
            else:
                await self._resync()
        await self._apply(run)

    async def _resync(self) -> None:
        """Ask the feed whether something was missed. If it does not answer, what Kafka brings may still follow.

        Nothing is lost by going on: the next message or heartbeat shows a gap, and the next silence asks again.
        """
        try:
            await self._catch_up(None)
        except FeedUnavailable as error:
            log.warning("%s/%d of %s: %s", self._topic, self._partition, self.source, error)

    async def _take_odd(self, event: Envelope) -> list[Envelope]:
        """An event that does not follow the checkpoint: what of it is to be applied once the feed has been asked."""
        if event.source != self.source or event.seq is None or event.prevseq is None or event.stream is None:
            log.warning("%s/%d: %s is no event of %s", self._topic, self._partition, event.id, self.source)
            return []
        if await self._is_present(event.stream):
            if event.prevseq > self._seq:
                await self._fill_gap(event.prevseq)
            if event.prevseq == self._seq and event.stream == self._stream:
                return [event]
        CONSUMER_DUPLICATES.inc()
        return []

    async def _is_present(self, stream: str) -> bool:
        """Whether a message's stream is the log's present one; a new one is switched to first."""
        if stream != self._stream and stream not in self._stale:
            await self._catch_up(self._seq)
            if stream != self._stream:
                self._stale.add(stream)
        return stream == self._stream

    async def _fill_gap(self, until: int) -> None:
        CONSUMER_GAPS.inc()
        self._head = max(self._head, until)
        await self._catch_up(until)

    async def _catch_up(self, until: int | None) -> None:
        """Pull from the feed, up to `until` or to its head; at least one page, so that a new stream is noticed."""
        while True:
            page = await self._feed.read(self._topic, self._partition, self._seq)
            if page.stream != self._stream:
                await self._switch(page.streams)
                continue
            self._head = page.head
            await self._apply(self._contiguous(page))
            if self._seq >= (page.head if until is None else until):
                return
            if not page.events:
                raise FeedUnavailable(f"the feed ends at {page.head}, asked for more than {self._seq}")

    def _contiguous(self, page: FeedPage) -> Sequence[Envelope]:
        last = self._seq
        for event in page.events:
            if event.prevseq != last or event.seq is None:
                raise FeedUnavailable(f"the feed goes from {last} to {event.seq} after {event.prevseq}")
            last = event.seq
        return page.events

    async def _load(self) -> None:
        """Read the checkpoint, or make one at the beginning of the present stream."""
        place = (self._handling.consumer, self.source, self._topic, self._partition)
        query = (
            "SELECT stream, seq FROM consumer_checkpoints"
            " WHERE consumer = $1 AND source = $2 AND topic = $3 AND partition = $4"
        )
        row = await self._handling.pool.fetchrow(query, *place)
        if row is None:
            page = await self._feed.read(self._topic, self._partition, 0, 1)
            await self._handling.pool.execute(
                "INSERT INTO consumer_checkpoints (consumer, source, topic, partition, stream, seq)"
                " VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT DO NOTHING",
                *place,
                page.stream,
            )
            row = await self._handling.pool.fetchrow(query, *place)
        if row is not None:
            self._stream, self._seq = row["stream"], row["seq"]

    async def _switch(self, streams: Sequence[Stream]) -> None:
        """Go over to the present stream from where ours left it, undoing what came after that point."""
        names = [one.stream for one in streams]
        later = streams[names.index(self._stream) + 1 :] if self._stream in names else streams
        forked_at = min(one.forked_at for one in later)
        async with self._handling.pool.acquire() as connection, connection.transaction():
            if self._seq > forked_at:
                if self._rebuild is None:
                    raise RuntimeError(
                        f"{self.source} was restored to {forked_at} in {self._topic}/{self._partition}, we are at"
                        f" {self._seq}, and nothing says how to rebuild"
                    )
                log.warning("%s/%d: rebuilding after %d", self._topic, self._partition, forked_at)
                await self._rebuild(connection, self.source, self._topic, self._partition, forked_at)
            seq = min(self._seq, forked_at)
            await self._advance(connection, streams[-1].stream, seq)
        self._stream, self._seq = streams[-1].stream, seq

    async def _apply(self, run: Sequence[Envelope]) -> None:
        """Make events take effect: together, or one by one when that fails."""
        if not run:
            return
        if len(run) > 1:
            try:
                await self._commit(run, None)
            except (Fenced, *Handling.PASSING):
                raise
            except Exception as error:
                log.info("%s/%d: one by one after %r", self._topic, self._partition, error)
            else:
                return
        for event in run:
            await self._apply_one(event)

    async def _apply_one(self, event: Envelope) -> None:
        verdict: InvalidMessage | PermanentError | None = None
        pause_s = self._times.retry_first_s
        attempts = 0
        while True:
            try:
                return await self._commit([event], verdict)
            except (Fenced, *Handling.PASSING):
                raise
            except (InvalidMessage, PermanentError) as error:
                verdict = error
            except Exception as error:
                attempts += 1
                log.exception("%s: attempt %d at %s failed", self._handling.consumer, attempts, event.id)
                if attempts >= self._times.attempts_max:
                    verdict = PermanentError("handler_failed", repr(error)[:2000])
                else:
                    CONSUMER_RETRIES.inc()
                    await asyncio.sleep(pause_s)
                    pause_s = min(2 * pause_s, self._times.retry_max_s)

    async def _commit(self, run: Sequence[Envelope], verdict: InvalidMessage | PermanentError | None) -> None:
        """One transaction: the effects of these events (or the dead letter of the one), and the checkpoint."""
        seq = run[-1].seq or 0
        async with self._handling.pool.acquire() as connection, connection.transaction():
            if verdict is None:
                await self._handling.handle(connection, run)
            else:
                place = Place(
                    self._handling.consumer, self.source, self._topic, self._partition, self._stream, run[0].seq
                )
                await bury(connection, place, verdict, run[0], self._handling.outbox)
            await self._advance(connection, self._stream, seq)
            reach("consumer.handled")
        reach("consumer.committed")
        if verdict is not None:
            log.error("%s: %s is a dead letter: %s", self._handling.consumer, run[0].id, verdict)
        self._seq = seq
        self._head = max(self._head, seq)
        now = time.time()
        for event in run:
            self._age.observe(max(0.0, now - event.time_us / 1_000_000))

    async def _bury_record(self, item: Unreadable) -> None:
        """A record that is no message moves no checkpoint; if an event was meant, the feed has it."""
        log.error("%s/%d@%d: %s", self._topic, self._partition, item.offset, item.error)
        place = Place(
            self._handling.consumer,
            self.source,
            self._topic,
            self._partition,
            cluster_id=item.cluster_id,
            offset=item.offset,
        )
        async with self._handling.pool.acquire() as connection, connection.transaction():
            await bury(connection, place, item.error, outbox=self._handling.outbox)

    async def _advance(self, connection: Connection, stream: str, seq: int) -> None:
        status = await connection.execute(
            "UPDATE consumer_checkpoints SET stream = $5, seq = $6 WHERE consumer = $1 AND source = $2 AND topic = $3"
            " AND partition = $4 AND stream = $7 AND seq = $8",
            self._handling.consumer,
            self.source,
            self._topic,
            self._partition,
            stream,
            seq,
            self._stream,
            self._seq,
        )
        if changed(status) == 0:
            CHECKPOINTS_LOST.labels(self.source).inc()
            raise Fenced(f"another process consumes {self._topic}/{self._partition} of {self.source}")
