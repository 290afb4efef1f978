"""Accounts: their settings, their thresholds, and their state."""

from __future__ import annotations

from services.ledger.api.answers.base import Answer, Credits, Page, Time, Written
from services.ledger.api.answers.budgets import Budget
from services.ledger.api.answers.holds import HoldRecord
from services.ledger.api.answers.lots import Lot
from services.ledger.api.answers.plans import Allowance


class Threshold(Answer):
    """A level of `available`, and where it is armed again: in credits, or in per cent of the allowance."""

    below: Credits | None = None
    rearm_at: Credits | None = None
    below_percent: int | None = None
    rearm_percent: int | None = None


class Account(Written):
    """An account and its settings; `id` is the user, where something was done to it."""

    id: str | None = None
    user: str
    status: str
    zone: str | None
    overdraft: Credits
    freezes: list[str]
    price_list: str | None
    thresholds: list[Threshold]


class State(Written):
    """The one authoritative answer about an account, as of a position and a time."""

    user: str
    asset: str
    status: str
    zone: str | None
    price_list: str | None
    service: str | None
    overdraft: Credits
    overdraft_used: Credits
    freezes: list[str]
    total_granted: Credits
    total_spent: Credits
    lots: list[Lot]
    holds: list[HoldRecord]
    next_expiry: Time | None
    plan: str | None
    allowance: Allowance | None
    next_reset: Time | None
    budgets: list[Budget]
    account_version: int
    time: Time


class AccountRecord(Account):
    """An account as it stands."""

    plan: str | None
    allowance: Allowance | None
    asset: str
    opened_at: Time
    closed_at: Time | None
    account_version: int


class Thresholds(Answer):
    """The account's own thresholds, and those of its app."""

    user: str
    asset: str
    thresholds: list[Threshold]
    app: list[Threshold]


class Accounts(Page):
    """Accounts in the order of their users."""

    data: list[AccountRecord]
