"""The tables of the simulated database, and rows that can be read as asyncpg's records are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

SEPARATOR = "\x1f"
NULL = "\x1e"
STREAM = "stream1"


class Row(dict[str, Any]):
    """A record: by name, or its values in order."""

    def __iter__(self) -> Iterator[Any]:
        return iter(self.values())


@dataclass(slots=True)
class HeadRow:
    """A row of `heads`; the time in microseconds."""

    partition: int
    shard: str
    position: int = 0
    hash: bytes = bytes(32)
    epoch: int = 0
    time_us: int = 0


@dataclass
class Tables:
    """What is committed."""

    heads: dict[int, HeadRow]
    shards: dict[str, Row] = field(default_factory=dict)
    halted: bool = False
    """Whether a violation of the books is recorded and not cleared."""

    events: dict[int, list[Row]] = field(default_factory=dict)
    versions: set[tuple[str, str, str, int]] = field(default_factory=set)
    by_object: dict[str, list[Row]] = field(default_factory=dict)
    results: dict[tuple[str, str, str, str], Row] = field(default_factory=dict)
    refs: dict[tuple[str, str, str, str], Row] = field(default_factory=dict)
    accounts: dict[tuple[str, str, str], Row] = field(default_factory=dict)
    lots: dict[str, Row] = field(default_factory=dict)
    holds: dict[str, Row] = field(default_factory=dict)
    transfers: dict[str, Row] = field(default_factory=dict)
    quotes: dict[str, Row] = field(default_factory=dict)
    configs: dict[tuple[str, int], Row] = field(default_factory=dict)
    dead_letters: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    cursors: dict[tuple[str, str, int], int] = field(default_factory=dict)
    relay: dict[tuple[str, int], Row] = field(default_factory=dict)
    checkpoints: dict[tuple[Any, ...], Row] = field(default_factory=dict)
    effects: dict[int, list[tuple[int, str]]] = field(default_factory=dict)
    """What the consumer made of the events of each partition: (seq, event id), in order of commit."""

    outcomes: dict[str, str] = field(default_factory=dict)
    """What a sender's consumer has recorded: command id → event id."""

    activity: Callable[[int, bool], bool | None] = lambda _pid, _end: None
    """`pg_stat_activity`: whether a session is busy, None if there is none; asked with True, it is ended."""

    def snapshot(self) -> Tables:
        """As it is now, of what reads look at; rows never change, they are replaced."""
        return replace(
            self,
            heads={number: replace(head) for number, head in self.heads.items()},
            accounts=dict(self.accounts),
            lots=dict(self.lots),
            holds=dict(self.holds),
        )


def values(column: str) -> list[str | None]:
    """A column of text taken apart, as `ledger_column` does."""
    return [None if value == NULL else value for value in column.split(SEPARATOR)]


def rows_of(columns: list[str]) -> list[tuple[Any, ...]]:
    """Columns as rows of text."""
    return list(zip(*map(values, columns), strict=True))
