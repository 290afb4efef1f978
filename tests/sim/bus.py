"""A Kafka in memory, under the interface of `libs.events.bus`: acknowledgements get lost, logs get lost or trimmed."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from libs.events.bus import BusUnavailable, Message, Start, TopicPartition
from tests.sim.chance import Chance
from tests.sim.loop import Loop

WAIT_S = 1.0
"""How long an empty fetch waits; the real one asks more often, which would only cost steps here."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a reader gets of a message."""

    offset: int
    key: bytes | None
    value: bytes
    headers: Sequence[tuple[str, bytes]]
    visible_at: float


@dataclass(slots=True)
class PartitionLog:
    """One partition: `records` from offset `base` on."""

    base: int = 0
    records: list[Record] = field(default_factory=list)

    @property
    def end(self) -> int:
        """The next message's offset."""
        return self.base + len(self.records)


class Broker:
    """The broker itself. `acknowledged` hears of every message that is in a log."""

    def __init__(self, loop: Loop, chance: Chance, topics: Mapping[str, int]) -> None:
        self.loop = loop
        self.down = False
        self.incarnation = 1
        self.waiting: list[asyncio.Future[None]] = []
        self.published = 0
        self.duplicated = 0
        self._chance = chance
        self._places = [TopicPartition(topic, number) for topic, count in topics.items() for number in range(count)]
        self.logs = {place: PartitionLog() for place in self._places}
        self.seen: dict[TopicPartition, set[bytes]] = {place: set() for place in self._places}
        """Ids of messages that were ever in each partition."""

    @property
    def cluster_id(self) -> str:
        """Of this incarnation."""
        return f"cluster{self.incarnation}"

    def lose(self) -> None:
        """A new broker with empty logs in the place of the old."""
        self.incarnation += 1
        self.logs = {place: PartitionLog() for place in self._places}
        self.wake()

    def trim(self) -> None:
        """Drop the oldest half of every log."""
        for log in self.logs.values():
            half = (len(log.records) + 1) // 2
            log.base += half
            del log.records[:half]

    def wake(self) -> None:
        """Let those who wait look again."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            if not one.done():
                one.set_result(None)

    def append(self, incarnation: int, place: TopicPartition, messages: Sequence[Message]) -> bool:
        """Put messages at the end of a log, if it is still that broker's."""
        if self.down or incarnation != self.incarnation:
            return False
        log = self.logs[place]
        chance = self._chance
        visible_at = self.loop.time() + (chance.random.random() if chance.hits(chance.bus) else 0.0)
        for message in messages:
            for _ in range(2 if chance.hits(chance.bus) else 1):
                log.records.append(Record(log.end, message.key, message.value, message.headers, visible_at))
            self.published += 1
            self.seen[place].add(dict(message.headers).get("ce_id", b""))
        self.loop.later(max(visible_at - self.loop.time(), 0.0) + 0.0003, self.wake)
        return True


class SimBus:
    """A process's access to the broker."""

    def __init__(self, broker: Broker, chance: Chance) -> None:
        self._broker = broker
        self._chance = chance

    async def _travel(self) -> None:
        await asyncio.sleep(self._chance.latency_s())
        if self._broker.down:
            raise BusUnavailable("the broker is away")

    async def cluster_id(self) -> str:
        """See `Bus.cluster_id`."""
        await self._travel()
        return self._broker.cluster_id

    async def publish(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        """See `Bus.publish`. What is not acknowledged may be in the log, be lost, or come later."""
        broker, chance = self._broker, self._chance
        incarnation, place = broker.incarnation, TopicPartition(topic, partition)
        if not chance.hits(chance.bus):
            await self._travel()
            if not broker.append(incarnation, place, messages):
                raise BusUnavailable("the broker has gone")
            await asyncio.sleep(chance.latency_s())
            return
        stored = chance.random.randint(0, len(messages))
        acknowledged = chance.random.randint(0, stored)
        await self._travel()
        if not broker.append(incarnation, place, messages[:stored]):
            raise BusUnavailable("the broker has gone")
        if chance.random.random() < 0.5:
            broker.loop.later(2 * chance.random.random(), broker.append, incarnation, place, messages[stored:])
        await asyncio.sleep(chance.loss_s())
        raise BusUnavailable("the acknowledgement was lost", acknowledged)

    async def reader(self, starts: Mapping[TopicPartition, Start], *, fetch_bytes: int = 0) -> SimReader:
        """See `Bus.reader`."""
        await self._travel()
        return SimReader(self._broker, self._chance, starts)

    async def last_records(self, topic: str, partitions: Sequence[int]) -> dict[int, Record]:
        """See `Bus.last_records`."""
        await self._travel()
        logs = {number: self._broker.logs[TopicPartition(topic, number)] for number in partitions}
        return {number: log.records[-1] for number, log in logs.items() if log.records}


class SimReader:
    """See `Reader`."""

    def __init__(self, broker: Broker, chance: Chance, starts: Mapping[TopicPartition, Start]) -> None:
        self._broker = broker
        self._chance = chance
        self._incarnation = broker.incarnation
        self._paused: set[TopicPartition] = set()
        self.cluster_id = broker.cluster_id
        self._next: dict[TopicPartition, int] = {}
        for place, start in starts.items():
            log = broker.logs[place]
            if start == "end":
                self._next[place] = log.end
            elif isinstance(start, int) and start <= log.end:
                self._next[place] = start
            else:
                self._next[place] = log.base

    async def fetch(self, *, wait_s: float = 0.1, limit: int = 2000) -> dict[TopicPartition, list[Record]]:
        """See `Reader.fetch`."""
        broker, chance = self._broker, self._chance
        for _ in range(2):
            if broker.down or self._incarnation != broker.incarnation or chance.hits(chance.bus / 4):
                raise BusUnavailable("the broker has gone")
            found = self._arrived(limit)
            if found:
                await asyncio.sleep(chance.latency_s())
                return found
            news = broker.loop.create_future()
            broker.waiting.append(news)
            await asyncio.wait([news], timeout=WAIT_S)
        return {}

    def _arrived(self, limit: int) -> dict[TopicPartition, list[Record]]:
        found = {}
        now = self._broker.loop.time()
        places = [place for place in self._next if place not in self._paused]
        self._chance.random.shuffle(places)
        for place in places:
            log = self._broker.logs[place]
            start = max(self._next[place], log.base)
            records = []
            for record in log.records[start - log.base : start - log.base + limit]:
                if record.visible_at > now:
                    break
                records.append(record)
            if records:
                self._next[place] = records[-1].offset + 1
                found[place] = records
        return found

    def pause(self, place: TopicPartition) -> None:
        """See `Reader.pause`."""
        self._paused.add(place)

    def resume(self, place: TopicPartition) -> None:
        """See `Reader.resume`."""
        self._paused.discard(place)

    async def close(self) -> None:
        """See `Reader.close`."""
