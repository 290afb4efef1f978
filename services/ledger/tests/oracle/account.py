"""One account as the oracle sees it: lots, holds, debts, and what time does to them. None of the ledger's code is used.

Amounts are integer units, times seconds. A lot's `end` is infinite if it never expires.
"""

from __future__ import annotations

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
            lost = reclaimed if lot.end > now else n
            lot.gone += lost
            lot.free += n - lost
        self.spending.forget(hold.id)
        del self.holds[hold.id]
        self.ended.add(hold.id)

    def pass_time(self, now: float) -> None:
        """Limits of holds, then ends of lots, then starts of lots, each at its time."""
        due: list[tuple[float, int, str, Hold | Lot]] = [(h.end, 0, h.id, h) for h in self.holds.values()]
        due += [(lot.end, 1, lot.id, lot) for lot in self.lots if lot.end < inf]
        due += [(lot.start, 2, lot.id, lot) for lot in self.lots if lot.waiting]
        for time, kind, _, item in sorted(due, key=lambda d: d[:3]):
            if time > now:
                break
            if isinstance(item, Hold):
                self.let_go(item, time)
            elif kind == 1:
                item.gone += item.free
                item.free = 0
            else:
                item.waiting = False
                self.repay([item])
