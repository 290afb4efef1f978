"""One account as the oracle sees it: lots, holds, debts, and what time does to them. None of the ledger's code is used.

Amounts are integer units, times seconds. A lot's `end` is infinite if it never expires.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from math import inf

from services.ledger.tests.oracle.budgets import Spending


@dataclass(eq=False)
class Lot:
    """What a grant made. `free`, `pinned`, `gone` and what was spent add up to `amount`."""

    id: str
    made: int
    amount: int
    source: str = "promo"
    priority: int = 100
    start: float = 0
    end: float = inf
    scope: tuple[str, ...] = ()
    free: int = 0
    pinned: int = 0
    gone: int = 0  # Revoked, or lost by expiry.
    claimed: int = 0  # To be revoked when a hold releases it.
    claim_is_debt: bool = False
    waiting: bool = False  # Not started yet.
    revoked: bool = False
    ended: bool = False  # Of an allowance that is over before its lot's time.

    @property
    def order(self) -> tuple[int, float, bool, int]:
        """The lowest burns first."""
        return self.priority, self.end, self.source == "paid", self.made

    @property
    def spent(self) -> int:
        return self.amount - self.free - self.pinned - self.gone


@dataclass(eq=False)
class Hold:
    """An open hold and the parts of lots that it pins."""

    id: str
    amount: int
    end: float
    limit: float
    service: str | None
    parts: list[tuple[Lot, int]]
    member: str | None = None
    captured: int = 0
    grant: Lot | None = None
    priced_at: float | None = None


@dataclass(frozen=True)
class Plan:
    """So many credits a month, and what of those left is carried over."""

    limit: int
    carry: tuple[int, int] = (0, 0)


@dataclass(eq=False)
class Allowance:
    """A plan that an account has until `end` at least; `lots` are what it gave since `start`."""

    plan: str | None
    end: float
    paid_until: float
    lots: list[Lot]
    given: int
    carried: int = 0
    lapsed: bool = False


@dataclass(eq=False)
class Account:
    """One user's credits. Nothing here knows the time unless it is told."""

    lots: list[Lot] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    owed: int = 0
    overdrawn: int = 0
    limit: int = 0
    closed: bool = False
    opened: bool = False
    freezes: set[str] = field(default_factory=set)
    allowance: Allowance | None = None
    plans: dict[str, Plan] = field(default_factory=dict)
    months: list[float] = field(default_factory=list)
    make: Callable[[int, float, float], Lot] | None = None
    spending: Spending = field(default_factory=Spending)

    def usable(self, service: str | None) -> list[Lot]:
        """Lots in the order in which they burn down: those for this service, then those for anything."""
        live = [lot for lot in self.lots if not lot.waiting and (not lot.scope or service in lot.scope)]
        return sorted(live, key=lambda lot: (not lot.scope, *lot.order))

    def free(self, service: str | None = None) -> int:
        return sum(lot.free for lot in self.usable(service))

    def available(self, service: str | None = None) -> int:
        return self.free(service) + self.limit - self.overdrawn - self.owed

    @property
    def held(self) -> int:
        return sum(lot.pinned for lot in self.lots)

    @property
    def settled(self) -> int:
        return sum(lot.free for lot in self.lots if not lot.waiting) + self.held - self.overdrawn

    def shown(self) -> list[tuple[int, int]]:
        """What remains of each lot and is held of it, first to burn first, whatever it may be spent on."""
        lots = sorted(self.lots, key=lambda lot: lot.order)
        return [(lot.free + lot.pinned, lot.pinned) for lot in lots if lot.free + lot.pinned]

    def take(self, lots: list[Lot], amount: int) -> list[tuple[Lot, int]]:
        """Take up to `amount` from the free part of lots in order."""
        parts = []
        for lot in lots:
            taken = min(lot.free, amount)
            amount -= taken
            lot.free -= taken
            if taken:
                parts.append((lot, taken))
        return parts

    def repay(self, lots: list[Lot], *, overdraft: bool = True) -> None:
        """New credits repay what is owed, then a used overdraft, before they can be spent."""
        debt = self.owed
        for lot in lots:
            repaid = min(debt, lot.free)
            debt -= repaid
            self.owed -= repaid
            back = min(self.overdrawn, lot.free - repaid) if overdraft else 0
            self.overdrawn -= back
            lot.free -= repaid + back

    def let_go(self, hold: Hold, now: float) -> None:
        """End a hold: its parts are free again, unless a revoke waits for them or their lot has expired."""
        for lot, n in hold.parts:
            lot.pinned -= n
            reclaimed = min(lot.claimed, n)
            lot.claimed -= reclaimed
            lost = reclaimed if lot.end > now and not lot.ended else n
            lot.gone += lost
            lot.free += n - lost
        self.spending.forget(hold.id)
        del self.holds[hold.id]
        self.ended.add(hold.id)

    def end_allowance(self) -> int:
        """Take what is free of the allowance, and end its lots; how much that was."""
        free = 0
        for lot in self.allowance.lots if self.allowance else []:
            if lot.free or lot.pinned:
                free += lot.free
                lot.gone += lot.free
                lot.free = 0
                lot.ended = True
        return free

    def renew(self, now: float) -> None:
        """The allowance of the month that `now` is in, if it is still paid for and has not come yet."""
        had = self.allowance
        if had is None or had.plan is None or had.lapsed or self.closed:
            return
        plan = self.plans[had.plan]
        rest = sum(lot.free for lot in had.lots if not lot.ended)
        due = had.end
        while True:
            if due >= had.paid_until:
                self.end_allowance()
                had.lapsed, had.lots, had.given, had.carried = True, [], 0, 0
                return
            had.carried = min(plan.carry[1], max(plan.carry[0], rest))
            following = next(month for month in self.months if month > due)
            if following > now:
                break
            due, rest = following, plan.limit + had.carried
        self.end_allowance()
        had.end, had.given = following, plan.limit + had.carried
        had.lots = [self.allow(had.given, due, following)]

    def allow(self, amount: int, start: float, end: float) -> Lot:
        """A lot of the allowance, after it has repaid what is owed and a used overdraft."""
        if self.make is None:
            raise RuntimeError("the model has not said how lots are made")
        lot = self.make(amount, start, end)
        self.repay([lot])
        return lot

    def pass_time(self, now: float) -> None:
        """Limits of holds, then the reset, then ends of lots, then starts of lots, each at its time."""
        due: list[tuple[float, float, str, Hold | Lot | None]] = [(h.end, 0, h.id, h) for h in self.holds.values()]
        due += [(lot.end, 1, lot.id, lot) for lot in self.lots if lot.end < inf]
        due += [(lot.start, 2, lot.id, lot) for lot in self.lots if lot.waiting]
        if self.allowance is not None:
            due.append((self.allowance.end, 0.5, "", None))
        for time, kind, _, item in sorted(due, key=lambda d: d[:3]):
            if time > now:
                break
            if item is None:
                self.renew(now)
            elif isinstance(item, Hold):
                self.let_go(item, time)
            elif kind == 1:
                item.gone += item.free
                item.free = 0
            else:
                item.waiting = False
                self.repay([item])
