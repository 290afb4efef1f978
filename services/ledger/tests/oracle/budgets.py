"""Budgets and earnings as the oracle sees them: lists of what was spent, reserved and earned, looked through anew.

Periods are those of UTC. A moment is seconds since `subject.START`, a Thursday at midnight.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

START = datetime(2026, 1, 1, tzinfo=UTC)


def period_of(kind: str, moment: float) -> tuple[int, ...]:
    """What names the period that a moment lies in."""
    day = START + timedelta(seconds=moment)
    if kind == "day":
        return day.year, day.month, day.day
    if kind == "week":
        return tuple(day.isocalendar()[:2])
    return (day.year, day.month) if kind == "month" else ()


@dataclass(eq=False)
class Entry:
    """Something that counts: a charge, or what an open hold reserves, made at `moment` by `member`."""

    moment: float
    member: str | None
    source: str
    amount: int


@dataclass(eq=False)
class Budget:
    """A budget, and everything that it ever counted."""

    name: str
    period: str
    limit: int
    hard: bool
    member: str | None
    key: str | None
    entries: list[Entry] = field(default_factory=list)

    @property
    def counts(self) -> tuple[str, str, str | None, str | None]:
        """What it must have in common with another to go on where that was."""
        return self.name, self.period, self.member, self.key

    def used(self, now: float, member: str | None) -> int:
        """What counts in the period of now; of one member if it is of each."""
        period = period_of(self.period, now)
        same = [entry for entry in self.entries if period_of(self.period, entry.moment) == period]
        return sum(entry.amount for entry in same if self.member != "*" or entry.member == member)


@dataclass(eq=False)
class Spending:
    """The budgets of an account, and what its actions earned."""

    budgets: list[Budget] = field(default_factory=list)
    earned: list[tuple[float, str, int]] = field(default_factory=list)

    def set(self, new: list[Budget]) -> None:
        """Other budgets; what is counted stays with those that count the same."""
        before = {budget.counts: budget.entries for budget in self.budgets}
        for budget in new:
            budget.entries = before.get(budget.counts, [])
        self.budgets = new

    def asked(self, member: str | None, key: str | None) -> list[Budget]:
        """The budgets that count what a member spends with a key."""
        own = {(budget.member, budget.period) for budget in self.budgets}
        found = []
        for budget in self.budgets:
            if budget.key is not None:
                counts = budget.key == key
            elif budget.member == "*":
                counts = member is not None and (member, budget.period) not in own
            else:
                counts = budget.member in (None, member)
            if counts:
                found.append(budget)
        return found

    def left(self, now: float, member: str | None, key: str | None) -> int:
        """What all hard budgets together allow."""
        asked = [budget for budget in self.asked(member, key) if budget.hard]
        return min((budget.limit - budget.used(now, member) for budget in asked), default=10**18)

    def spend(self, now: float, member: str | None, key: str | None, source: str, amount: int) -> None:
        """A charge, or a hold that reserves."""
        for budget in self.asked(member, key):
            budget.entries.append(Entry(now, member, source, amount))

    def capture(self, now: float, member: str | None, hold: str, *, charge: str, amount: int, pinned: int) -> None:
        """A capture counts where its hold's member counts, and at keys that counted the hold."""
        by_member = self.asked(member, None)
        for budget in self.budgets:
            reserved = [entry for entry in budget.entries if entry.source == hold]
            if budget in by_member or (budget.key is not None and reserved):
                budget.entries.append(Entry(now, member, charge, amount))
            left = pinned
            for entry in reserved:
                taken = min(left, entry.amount)
                entry.amount -= taken
                left -= taken

    def forget(self, source: str, amount: int | None = None) -> None:
        """A hold has ended, or `amount` of a charge was given back."""
        for budget in self.budgets:
            for entry in budget.entries:
                if entry.source == source:
                    entry.amount -= entry.amount if amount is None else amount

    def times(self, group: str, period: str, now: float) -> int:
        """How often a group has earned in the period of now."""
        same = [name for moment, name, _ in self.earned if period_of(period, moment) == period_of(period, now)]
        return same.count(group)

    def earned_in(self, period: str, now: float) -> int:
        """What all actions earned in the period of now."""
        return sum(n for moment, _, n in self.earned if period_of(period, moment) == period_of(period, now))
