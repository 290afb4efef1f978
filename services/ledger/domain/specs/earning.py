"""Earning rules: what an action brings in, how often, and how much all of them together."""

from __future__ import annotations

from pydantic import Field

from services.ledger.domain.budgets import BudgetPeriod
from services.ledger.domain.specs.base import DURATION_S_MAX, Name, Strict


class EarningRuleSpec(Strict):
    """An action that earns `times` per user in each `period` of the app's zone: once for ever, if nothing is said.

    Rules that name the same group earn so often together, and agree on how often.
    """

    amount: str
    asset: Name | None = None
    group: Name | None = None
    times: int = Field(default=1, ge=1, le=1_000_000)
    period: BudgetPeriod = "lifetime"
    expires_after_s: int | None = Field(default=None, gt=0, le=DURATION_S_MAX)


class EarningCapSpec(Strict):
    """What all earning rules together give one user at most in each period of the app's zone."""

    amount: str
    period: BudgetPeriod
    asset: Name | None = None


def check_groups(rules: dict[str, EarningRuleSpec]) -> None:
    """ValueError where rules of one group do not agree on how often they earn."""
    first: dict[str, EarningRuleSpec] = {}
    for rule in rules.values():
        if rule.group is None:
            continue
        known = first.setdefault(rule.group, rule)
        if (rule.times, rule.period) != (known.times, known.period):
            raise ValueError(f"the rules of the group {rule.group!r} differ in times or period")
