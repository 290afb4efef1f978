"""The numbered log that a relay publishes and a feed serves: an outbox, or the ledger's own event table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from libs.events.envelope import Envelope


@dataclass(frozen=True, slots=True)
class Stream:
    """One incarnation of a log in one partition. `forked_at` is the last `seq` it shares with its predecessor."""

    stream: str
    forked_at: int


class LogSource(Protocol):
    """A log with gapless `seq` from 1 in each (topic, partition), of which every reader sees a prefix."""

    @property
    def source(self) -> str:
        """The name of the service whose log this is."""
        ...

    async def heads(self) -> Mapping[tuple[str, int], int]:
        """The last `seq` of each (topic, partition); absent ones are 0."""
        ...

    async def streams(self, topic: str, partition: int) -> Sequence[Stream]:
        """All incarnations, the oldest (forked at 0) first; the last is the present one."""
        ...

    async def read(self, topic: str, partition: int, after: int, limit: int) -> Sequence[Envelope]:
        """Up to `limit` messages with `seq` > `after`, in order and without a gap, under the present stream's id."""
        ...


def carries_commands(topic: str) -> bool:
    """Whether a topic's messages are commands, which go without stream, seq, prevseq and heartbeats."""
    return topic.endswith(".commands")
