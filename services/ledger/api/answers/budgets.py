"""Budgets, and what they count."""

from __future__ import annotations

from services.ledger.api.answers.base import Answer, Credits, Time, Written


class BudgetCount(Answer):
    """What a budget counts in the present period: spent and reserved (`used`), of it reserved (`held`), and left."""

    used: Credits
    held: Credits
    left: Credits
    period_start: Time
    period_end: Time | None


class MemberCount(BudgetCount):
    """What a budget of each member counts of one of them."""

    member: str


class Budget(Answer):
    """A budget and what it counts; one of each member (`*`) has `members` in place of `used`, `held` and `left`."""

    name: str
    member: str | None
    key: str | None
    period: str
    limit: Credits
    hard: bool
    used: Credits | None = None
    held: Credits | None = None
    left: Credits | None = None
    members: list[MemberCount] | None = None
    period_start: Time
    period_end: Time | None


class Budgets(Answer):
    """The budgets of an account."""

    user: str
    asset: str
    budgets: list[Budget]


class BudgetsSet(Written):
    """The budgets of an account after they were set; `id` is the user."""

    id: str
    user: str
    budgets: list[Budget]
