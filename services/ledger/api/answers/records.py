"""What was recorded: the journal, events, outcomes of commands, totals."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from services.ledger.api.answers.base import Answer, Credits, Page, Time
from services.ledger.api.answers.prices import Priced


class Imported(Answer):
    """What another system had booked, as it told it; it moved nothing here."""

    kind: str
    occurred_at: Time
    amount: Credits
    balance_after: Credits | None


class Transaction(Answer):
    """One event of an account; `amount` is what it did to `settled`, `before` and `after` are `settled` around it."""

    id: str
    type: str
    time: Time
    amount: Credits
    before: Credits
    after: Credits
    held_before: Credits
    held_after: Credits
    owed_before: Credits
    owed_after: Credits
    object: str | None
    reference: str | None
    member: str | None
    reason: str | None
    description: str | None
    metadata: dict[str, str] | None
    imported: Imported | None
    transaction: str
    account_version: int
    partition: int
    position: int
    priced: Priced | None = None


class Transactions(Page):
    """The journal of an account, the newest first."""

    data: list[Transaction]


class Event(Answer):
    """An event as it lies in the log."""

    id: str
    type: str
    time: Time
    user: str
    asset: str | None
    partition: int
    position: int
    account_version: int | None
    transaction: str
    command: str
    correlation: str
    actor: str
    payload: dict[str, Any]


class Events(Page):
    """Events of the app, the newest first."""

    data: list[Event]


class AssetStatistics(Answer):
    """Totals of one asset."""

    asset: str
    accounts: int
    settled: Credits
    held: Credits
    owed: Credits
    overdraft_used: Credits
    issued: dict[str, Credits]
    spent: Credits
    revoked: Credits
    breakage: Credits


class Statistics(Answer):
    """Totals of the app."""

    app: str
    time: Time
    assets: list[AssetStatistics]


class BalancesThen(Answer):
    """An account's balances when a command was refused."""

    asset: str
    settled: Credits
    held: Credits
    owed: Credits
    available: Credits


class Outcome(Answer):
    """What became of a command: the status and the body that answered it; `accounts` is there for a refusal."""

    key: str
    user: str
    caller: str
    type: str
    status: int
    body: dict[str, Any]
    partition: int
    position: int
    time: Time
    accounts: list[BalancesThen] = Field([])
