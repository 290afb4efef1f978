"""Budgets: what was set, and what was exceeded."""

from __future__ import annotations

from libs.events.contracts.base import contract
from libs.events.contracts.ledger.events.parts import AccountEvent, BudgetOf
from libs.events.contracts.ledger.fields import BudgetPeriod, Credits, Time


@contract("ledger.budget_set.v1")
class BudgetSet(AccountEvent):
    """All budgets of the account were set, in the place of those before. One that counts as it did goes on counting."""

    budgets: tuple[BudgetOf, ...]


@contract("ledger.budget_exceeded.v1")
class BudgetExceeded(AccountEvent):
    """A budget was exceeded for the first time in a period: a soft one, or a hard one by a capture, which is never
    refused. `member` is the one counted, if it is a budget of each member."""

    budget: str
    limit: Credits
    used: Credits
    hard: bool
    period: BudgetPeriod
    period_start: Time
    period_end: Time | None = None
