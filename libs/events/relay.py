"""Publishes a numbered log to Kafka, in order, behind a checkpoint that moves only over acknowledged messages.

A crash between the acknowledgement and the checkpoint publishes a few messages again; consumers drop them by `seq`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from libs.events.bus import Bus, BusUnavailable, Message
from libs.events.db import Fenced, Pool, changed
from libs.events.envelope import Envelope, Heartbeat, InvalidMessage, from_record, heartbeat_headers, to_headers
from libs.events.failpoints import reach, reach_sent
from libs.events.log_source import LogSource, carries_commands
from libs.events.metrics import RELAY_LAG, RELAY_OLDEST
from libs.events.outbox import now_us

log = logging.getLogger(__name__)

Place = tuple[str, int]

_TAKE_OVER = """
INSERT INTO relay_checkpoints AS known (topic, partition, seq, epoch)
SELECT topic, partition, 0, 1 FROM unnest($1::text[], $2::int[]) AS place (topic, partition)
ON CONFLICT (topic, partition) DO UPDATE SET epoch = known.epoch + 1
RETURNING topic, partition, seq, epoch
"""
"""In the order of the places, so that two relays that start together wait for each other and do not deadlock."""


class LogBehindError(Exception):
    """Kafka has seen more of this stream than the log has: the database is an old copy whose stream was not renewed.

    Publishing would give numbers out twice, and consumers would drop the new events as known.
    """


class Relay:
    """Publishes the `topics` (name → partitions) of one log. One process at a time: an earlier one is :class:`Fenced`.

    `poll_s`: how often an idle relay looks for news; `heartbeat_s`: how often an idle partition of an event topic says
    so; `batch`: messages per partition and round; `retry_s`: pause while the broker is away.
    """

    def __init__(
        self,
        log_source: LogSource,
        pool: Pool,
        bus: Bus,
        topics: Mapping[str, int],
        *,
        poll_s: float = 0.02,
        heartbeat_s: float = 5.0,
        batch: int = 1000,
        retry_s: float = 0.5,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self._log = log_source
        self._pool = pool
        self._bus = bus
        self._places = [(topic, partition) for topic, count in topics.items() for partition in range(count)]
        self._poll_s = poll_s
        self._heartbeat_s = heartbeat_s
        self._batch = batch
        self._retry_s = retry_s
        self._clock = clock
        self._published: dict[Place, int] = {}
        self._epochs: dict[Place, int] = {}
        self._heard: dict[Place, float] = {}
        self._oldest_us: dict[Place, int] = {}

    async def run(self) -> None:
        """Publish until cancelled, :class:`Fenced` or :class:`LogBehindError`. A broker that is away only delays."""
        await self.load()
        away = False
        checked = False
        while True:
            try:
                if not checked:
                    await self.check()
                    checked = True
                moved = await self.step()
                away = False
            except BusUnavailable as error:
                if not away:
                    log.warning("publishing waits for the broker: %s", error)
                away = True
                await asyncio.sleep(self._retry_s)
                continue
            if not moved:
                await asyncio.sleep(self._poll_s)

    async def load(self) -> None:
        """Take over the checkpoints: whoever had them before moves none any more."""
        rows = await self._pool.fetch(_TAKE_OVER, *map(list, zip(*sorted(self._places), strict=True)))
        self._published = {(row["topic"], row["partition"]): int(row["seq"]) for row in rows}
        self._epochs = {(row["topic"], row["partition"]): int(row["epoch"]) for row in rows}

    async def check(self) -> None:
        """Compare the log with the end of Kafka's. Raises :class:`LogBehindError` or :class:`BusUnavailable`."""
        for topic in {topic for topic, _ in self._places if not carries_commands(topic)}:
            partitions = [partition for each, partition in self._places if each == topic]
            seen = await self._bus.last_records(topic, partitions)
            heads = await self._log.heads()
            for partition, record in seen.items():
                try:
                    message = from_record(record.headers, record.value)
                except InvalidMessage:
                    continue
                head = heads.get((topic, partition), 0)
                stream = (await self._log.streams(topic, partition))[-1].stream
                if message.source == self._log.source and message.stream == stream and (message.seq or 0) > head:
                    raise LogBehindError(f"{topic}/{partition} ends at {head}, Kafka has seen {message.seq}")

    async def step(self) -> int:
        """One round over all partitions; how many messages were acknowledged.

        Raises :class:`BusUnavailable` after the checkpoints of what was acknowledged have moved, or :class:`Fenced`.
        """
        heads = await self._log.heads()
        behind = [place for place in self._places if heads.get(place, 0) > self._published[place]]
        self._oldest_us = {place: time_us for place, time_us in self._oldest_us.items() if place in behind}
        results = await asyncio.gather(*[self._publish(place) for place in behind], return_exceptions=True)
        RELAY_LAG.set(sum(max(0, heads.get(place, 0) - self._published[place]) for place in self._places))
        RELAY_OLDEST.set(min(self._oldest_us.values(), default=0) / 1_000_000)
        failures = [result for result in results if isinstance(result, BaseException)]
        # Having been replaced outweighs a broker that is away.
        for failure in sorted(failures, key=lambda failure: isinstance(failure, BusUnavailable)):
            raise failure
        await self._beat()
        return sum(result for result in results if isinstance(result, int))

    async def _publish(self, place: Place) -> int:
        topic, partition = place
        before = self._published[place]
        envelopes = await self._log.read(topic, partition, before, self._batch)
        if not envelopes:
            return 0
        self._oldest_us[place] = envelopes[0].time_us
        reach("relay.publishing")
        reach_sent("relay.sent")
        try:
            await self._bus.publish(topic, partition, _messages(topic, envelopes))
        except BusUnavailable as failure:
            reach("relay.cut")
            await self._advance(place, failure.acknowledged)
            raise
        reach("relay.acknowledged")
        await self._advance(place, len(envelopes))
        del self._oldest_us[place]
        return len(envelopes)

    async def _advance(self, place: Place, acknowledged: int) -> None:
        """Move the checkpoint over so many messages; their `seq` has no gaps."""
        before = self._published[place]
        status = await self._pool.execute(
            "UPDATE relay_checkpoints SET seq = $4 WHERE topic = $1 AND partition = $2 AND seq = $3 AND epoch = $5",
            *place,
            before,
            before + acknowledged,
            self._epochs[place],
        )
        if changed(status) == 0:
            raise Fenced(f"another relay publishes {place[0]}/{place[1]} from {before} on")
        reach("relay.checkpointed")
        self._published[place] = before + acknowledged
        self._heard[place] = asyncio.get_running_loop().time()

    async def _beat(self) -> None:
        """Tell the last `seq` in partitions that have been silent."""
        now = asyncio.get_running_loop().time()
        silent = [
            place
            for place in self._places
            if not carries_commands(place[0]) and now - self._heard.get(place, -self._heartbeat_s) >= self._heartbeat_s
        ]
        await asyncio.gather(*[self._beat_one(place, now) for place in silent])

    async def _beat_one(self, place: Place, now: float) -> None:
        stream = (await self._log.streams(*place))[-1].stream
        beat = Heartbeat(self._log.source, stream, self._published[place], self._clock())
        await self._bus.publish(*place, [Message(None, b"{}", heartbeat_headers(beat))])
        self._heard[place] = now


def _messages(topic: str, envelopes: Sequence[Envelope]) -> list[Message]:
    if carries_commands(topic):
        envelopes = [replace(envelope, stream=None, seq=None, prevseq=None) for envelope in envelopes]
    return [Message(envelope.key, envelope.data, to_headers(envelope)) for envelope in envelopes]
