"""Budgets: how much of one account may be spent within a day, week or month, or ever, by all or by one of them.

What is counted lies in the account's state, beside the budgets themselves, so that a decision looks nowhere else. An
account without budgets has None in the place of all this. Amounts are integer units, times microseconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal
from zoneinfo import ZoneInfo

from services.ledger.domain.periods import period_of

BudgetPeriod = Literal["day", "week", "month", "lifetime"]
EACH = "*"
"""In the place of a member: every member, each counted by itself."""
CountKey = tuple[str, str | None]
"""(name of a budget, the member counted)."""
Place = tuple[str, str | None, int | None]
"""(name of a budget, the member counted, end of the period)."""


@dataclass(slots=True)
class Budget:
    """A limit on what may be spent in a period: by a member, by whoever has a key, or (neither) by all together.

    A hard one refuses what would exceed it, a soft one only tells. `since` is when counting began, and `version` that
    of the account after it.
    """

    name: str
    period: BudgetPeriod
    limit: int
    hard: bool = True
    member: str | None = None
    key: str | None = None
    since: int = 0
    version: int = 0

    def counts_like(self, other: Budget) -> bool:
        """Whether both count the same, so that one can go on where the other was."""
        mine = (self.name, self.period, self.member, self.key)
        return mine == (other.name, other.period, other.member, other.key)

    def bounds(self, zone: ZoneInfo, now: int) -> tuple[int, int | None]:
        """(start, end) of the period that `now` lies in; the first one starts with the budget itself."""
        if self.period == "lifetime":
            return self.since, None
        start, end = period_of(self.period, zone, now)
        return max(start, self.since), end


@dataclass(slots=True)
class Count:
    """What was spent and is reserved in one period of a budget. `told`: that it is exceeded was said.

    A period that has begun keeps its end, whatever becomes of the account's zone; the end tells it from any other.
    """

    start: int
    end: int | None
    used: int = 0
    told: bool = False

    def lasts(self, now: int) -> bool:
        """Whether its period has not ended."""
        return self.end is None or now < self.end


@dataclass(slots=True)
class Reservation:
    """What an open hold counts for in one period of a budget, named by its end."""

    name: str
    member: str | None
    end: int | None
    amount: int


Reservations = tuple[Reservation, ...]


@dataclass(slots=True)
class Budgets:
    """The budgets of an account in the order in which they were set, what is counted, and what each open hold reserves.

    Counts of periods that have ended are dropped when the next one begins; until then they are passed over.
    """

    budgets: tuple[Budget, ...]
    counts: dict[CountKey, Count] = field(default_factory=dict)
    reserved: dict[str, Reservations] = field(default_factory=dict)

    def concerned(
        self, member: str | None, key: str | None, names: frozenset[str] = frozenset()
    ) -> Iterator[tuple[Budget, str | None]]:
        """The budgets that count what `member` spends with `key`, each with the member counted.

        A budget for one member takes the place of that for each member of the same period. `names` are budgets of keys
        that count whatever the key is.
        """
        for budget in self.budgets:
            if budget.key is not None:
                if budget.key == key or budget.name in names:
                    yield budget, None
            elif budget.member is None:
                yield budget, None
            elif budget.member == member or (
                budget.member == EACH and member is not None and not self._has_own(member, budget.period)
            ):
                yield budget, member

    def _has_own(self, member: str, period: BudgetPeriod) -> bool:
        return any(budget.member == member and budget.period == period for budget in self.budgets)

    def count(self, budget: Budget, member: str | None, zone: ZoneInfo, now: int) -> Count:
        """What is counted in the present period; nothing yet if it has only begun."""
        known = self.counts.get((budget.name, member))
        return known if known is not None and known.lasts(now) else Count(*budget.bounds(zone, now))

    def counted_members(self, budget: Budget, now: int) -> list[str]:
        """The members that a budget for each of them counts in periods that last."""
        return [
            member
            for (name, member), count in self.counts.items()
            if name == budget.name and member is not None and count.lasts(now)
        ]

    def held(self, key: CountKey, end: int | None) -> int:
        """What open holds reserve of one count."""
        parts = (part for parts in self.reserved.values() for part in parts)
        return sum(part.amount for part in parts if (part.name, part.member, part.end) == (*key, end))

    def still_counted(self, key: CountKey, end: int | None, now: int) -> Count | None:
        """The count of this very period, if it still lasts: only then is something given back to it."""
        known = self.counts.get(key)
        return known if known is not None and known.end == end and known.lasts(now) else None

    def named(self, name: str) -> Budget | None:
        """The budget of that name."""
        return next((budget for budget in self.budgets if budget.name == name), None)


def drawn(reservations: Reservations, amount: int) -> Reservations:
    """What a hold still reserves after a capture took `amount` of what it pins, from its oldest reservations first.

    Those that are used up stay: they say which budgets of keys the hold counts for.
    """
    left: dict[CountKey, int] = {}
    rest = []
    for part in reservations:
        key = (part.name, part.member)
        taken = min(left.get(key, amount), part.amount)
        left[key] = left.get(key, amount) - taken
        rest.append(Reservation(part.name, part.member, part.end, part.amount - taken))
    return tuple(rest)


def totals(reservations: Iterable[Reservation]) -> dict[Place, int]:
    """What reservations come to."""
    sums: dict[Place, int] = {}
    for part in reservations:
        place = (part.name, part.member, part.end)
        sums[place] = sums.get(place, 0) + part.amount
    return sums
