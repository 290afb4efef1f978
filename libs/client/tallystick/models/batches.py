"""What became of the commands of a batch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .base import Answer, Balances


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult(Answer):
    """What became of one command of a batch: the HTTP `status` it would have had alone, and its `body` or `problem`."""

    status: int
    body: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None
    replayed: bool = False

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < 400


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResults(Answer):
    """What became of each command of a batch, in order, and the accounts that they changed."""

    results: tuple[BatchResult, ...] = ()
    accounts: tuple[Balances, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all were done."""
        return all(result.ok for result in self.results)
