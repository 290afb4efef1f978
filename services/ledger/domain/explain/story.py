"""An account's events added up: what each lot went into, what is owed for what, and what each kind of event came to."""

from __future__ import annotations

from dataclasses import dataclass, field

from services.ledger.domain import events as ev
from services.ledger.domain.explain.flows import Debt, owed_after, taken
from services.ledger.domain.explain.reasons import reason_of

BEFORE = "before"
"""Why of what was there before the first event that is told of."""


@dataclass(slots=True)
class Use:
    """What one kind of event took from a lot altogether, less what it gave back; `at` is when it last did."""

    why: str
    amount: int = 0
    count: int = 0
    at: int = 0


@dataclass(slots=True)
class Total:
    """What one kind of event did to the balances altogether."""

    why: str
    count: int = 0
    settled: int = 0
    held: int = 0
    owed: int = 0


@dataclass(slots=True)
class Story:
    """What a run of an account's events, without a gap, comes to; `since` is the version of the first."""

    since: int = 0
    uses: dict[str, dict[str, Use]] = field(default_factory=dict)
    """By lot, then by why."""

    debts: list[Debt] = field(default_factory=list)
    totals: dict[str, Total] = field(default_factory=dict)

    def tell(self, event: ev.AccountEvent) -> None:
        """Take the next event in."""
        if not self.since:
            self._begin(event)
        why = reason_of(event, 0).why
        total = self.totals.setdefault(why, Total(why))
        total.count += 1
        total.settled += event.after.settled - event.before.settled
        total.held += event.after.held - event.before.held
        total.owed += event.after.owed - event.before.owed
        for lot, kind, amount in taken(event):
            use = self.uses.setdefault(lot, {}).setdefault(kind, Use(kind))
            use.amount += amount
            use.count += 1
            use.at = event.at
        self.debts = owed_after(self.debts, event)

    def _begin(self, event: ev.AccountEvent) -> None:
        self.since = event.account_version
        before = event.before
        if before.settled or before.held or before.owed:
            self.totals[BEFORE] = Total(BEFORE, event.account_version - 1, before.settled, before.held, before.owed)
        if before.owed:
            self.debts = [Debt(BEFORE, None, before.owed, before.owed, event.at)]

    def uses_of(self, lot: str, gone: int) -> list[Use]:
        """What took the `gone` units of a lot, the last first; what was gone before the story began last."""
        told = sorted(self.uses.get(lot, {}).values(), key=lambda use: use.at, reverse=True)
        before = gone - sum(use.amount for use in told)
        return [*told, Use(BEFORE, before)] if before else told
