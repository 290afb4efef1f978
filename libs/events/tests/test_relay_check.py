"""A relay publishes nothing of a log that ends before what Kafka has seen of it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest

from libs.events.bus import Bus, Message
from libs.events.db import Pool
from libs.events.envelope import Envelope, to_headers
from libs.events.log_source import Stream
from libs.events.relay import LogBehindError, Relay

pytestmark = pytest.mark.anyio

TOPIC = "counter.events"
WITHIN_S = 20.0


@dataclass
class _Record:
    headers: Any
    value: bytes


class _Log:
    """A log of three events in one partition."""

    source = "counter"

    async def heads(self) -> Mapping[tuple[str, int], int]:
        return {(TOPIC, 0): 3}

    async def streams(self, topic: str, partition: int) -> Sequence[Stream]:
        return [Stream("old", 0), Stream("present", 2)]

    async def read(self, topic: str, partition: int, after: int, limit: int) -> Sequence[Envelope]:
        return [_event(seq) for seq in range(after + 1, 4)]


class _Kafka(Bus):
    """A broker that ends with one message, and takes whatever is published."""

    def __init__(self, last: Envelope) -> None:
        super().__init__("127.0.0.1:1", {})
        self.last = last
        self.published: list[Message] = []

    async def last_records(self, topic: str, partitions: Sequence[int]) -> dict[int, Any]:
        return {0: _Record(to_headers(self.last), self.last.data)}

    async def publish(self, topic: str, partition: int, messages: Sequence[Message]) -> None:
        self.published += messages


def _event(seq: int) -> Envelope:
    event = Envelope("event_1", "counter", "counter.counted.v1", 1, "ann", "coins", b"{}", stream="present")
    return replace(event, seq=seq, prevseq=seq - 1)


@pytest.mark.parametrize("seen", [4, 1000])
async def test_an_old_copy_of_the_log_is_not_published(pool: Pool, seen: int) -> None:
    """C12: its numbers have been given out already, and consumers would drop the new events under them."""
    kafka = _Kafka(_event(seen))
    running = asyncio.create_task(Relay(_Log(), pool, kafka, {TOPIC: 1}).run())
    done, _ = await asyncio.wait({running}, timeout=WITHIN_S)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert done, "it goes on"
    assert isinstance(running.exception(), LogBehindError)
    assert kafka.published == []


@pytest.mark.parametrize(
    "last",
    [
        _event(3),
        _event(1),
        replace(_event(5), stream="old"),
        replace(_event(5), source="another"),
    ],
)
async def test_what_is_as_far_or_of_another_time_line_hinders_nobody(pool: Pool, last: Envelope) -> None:
    kafka = _Kafka(last)
    relay = Relay(_Log(), pool, kafka, {TOPIC: 1})
    await relay.load()
    await relay.check()
    assert await relay.step() == 3
    assert len(kafka.published) >= 3
