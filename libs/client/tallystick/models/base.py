"""What answers share: the JSON as it came, an account's credits, a write's answer, a page."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Anything read from the ledger; `raw` is the JSON object as it came."""

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances(Answer):
    """An account's credits as of `position` in its `partition`: pass both as `min_position` to read your own write.

    `settled` what is there, `held` the part that holds pin, `owed` what a claw-back could not take, `available`
    what can be spent.
    """

    settled: Decimal
    held: Decimal
    owed: Decimal
    available: Decimal
    position: int
    partition: int
    user: str | None = None
    asset: str | None = None
    account_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Balances):
    """The answer to a write. `replayed` says that this key was answered before, and this is that first answer."""

    replayed: bool = False
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `next_cursor` fetches the next when `has_more`."""

    data: tuple[T, ...]
    next_cursor: str | None = None
    has_more: bool = False

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)
