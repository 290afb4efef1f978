"""Budgets: what was set, and what was exceeded."""

from __future__ import annotations

from dataclasses import dataclass

from services.ledger.domain.budgets import BudgetPeriod
from services.ledger.domain.events.parts import AccountEvent, BudgetOf, Time, Units


@dataclass(slots=True, kw_only=True)
class BudgetSet(AccountEvent):
    """All budgets of the account, in the place of those before. One that counts as it did goes on counting."""

    budgets: tuple[BudgetOf, ...]


@dataclass(slots=True, kw_only=True)
class BudgetExceeded(AccountEvent):
    """A budget was exceeded for the first time in a period: a soft one, or a hard one by a capture, which is never
    refused. `member` is the one counted, if it is a budget of each member."""

    budget: str
    limit: Units
    used: Units
    hard: bool
    period: BudgetPeriod
    period_start: Time
    period_end: Time | None = None
