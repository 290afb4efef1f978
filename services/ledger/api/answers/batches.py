"""Batches: what became of each command, and the accounts after it."""

from __future__ import annotations

from typing import Any

from services.ledger.api.answers.base import Answer
from services.ledger.api.answers.moves import Side


class Result(Answer):
    """What became of one command of a batch: `body` below 400, else `problem`."""

    status: int
    replayed: bool
    body: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class AccountAfter(Side):
    """An account after a batch."""

    asset: str


class Batch(Answer):
    """The results in the order of the commands, and the accounts that they changed, by user and asset."""

    results: list[Result]
    accounts: list[AccountAfter]
