"""Accounts: their settings, their state, their budgets, plans and allowances."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .base import Answer, Balances, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot(Answer):
    """What remains of a grant."""

    id: str
    amount: Decimal
    remaining: Decimal
    held: Decimal | None = None
    source: str | None = None
    priority: int | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Balances):
    """The one authoritative answer about an account at one position and time.

    `total_granted` and `total_spent` are all that was ever given, and spent without what was refunded.
    """

    total_granted: Decimal | None = None
    total_spent: Decimal | None = None
    lots: tuple[Lot, ...] = ()
    next_expiry: datetime | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold(Answer):
    """An alert when available falls `below` this, armed again at `rearm_at` (the same, when left out)."""

    below: Decimal
    rearm_at: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Answer):
    """An account and its settings."""

    user: str
    asset: str | None = None
    status: str | None = None
    zone: str | None = None
    overdraft: Decimal | None = None
    settled: Decimal | None = None
    held: Decimal | None = None
    owed: Decimal | None = None
    available: Decimal | None = None
    position: int | None = None
    partition: int | None = None
    freezes: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    opened_at: datetime | None = None
    replayed: bool = False
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Answer):
    """At most `limit` credits a `period` (`day`, `week`, `month`, `lifetime`).

    It counts what the `member` of a team or the API `key` spends, or without either the whole account. A `hard` one
    refuses, a soft one tells. The member `*` stands for each member by itself. When read, `used` was spent and `held`
    is held since `period_start`, and `left` is left until `period_end`.
    """

    period: str
    limit: Decimal
    hard: bool = True
    name: str | None = None
    member: str | None = None
    key: str | None = None
    used: Decimal | None = None
    held: Decimal | None = None
    left: Decimal | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets(Answer):
    """The budgets of an account."""

    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetsSet(Written):
    """The budgets of an account after they were set."""

    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance(Answer):
    """What a plan gives in the present period: `limit`, of it `used` and `left`, and `carried` from earlier ones."""

    limit: Decimal
    left: Decimal
    used: Decimal | None = None
    carried: Decimal | None = None
    status: str | None = None
    last_reset: datetime | None = None
    next_reset: datetime | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    anchor: datetime | None = None
    paid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPlan(Written):
    """An account's plan and its allowance; both None without a plan."""

    plan: str | None = None
    allowance: Allowance | None = None
