"""What an account must show, worked out again from the rules in plain words; none of the ledger's code is used.

Amounts are integer units, times seconds. A lot's `end` is infinite if it never expires. The model refuses by raising
`Refused` before it changes anything.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf

GRACE_S, HOLD_S, HOLD_MAX_S, TOLERANCE_PERCENT = 1000, 60, 300, 50
ACTIONS = {"start": (100, "start"), "choose_personal": (50, "direction"), "choose_business": (50, "direction")}


class Refused(Exception):
    """The code of a refusal."""


@dataclass(eq=False)
class Lot:
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
    def spent(self) -> int:
        return self.amount - self.free - self.pinned - self.gone


@dataclass(eq=False)
class Hold:
    id: str
    amount: int
    end: float
    limit: float
    service: str | None
    parts: list[tuple[Lot, int]]
    captured: int = 0


@dataclass(eq=False)
class Account:
    lots: list[Lot] = field(default_factory=list)
    holds: dict[str, Hold] = field(default_factory=dict)
    ended: set[str] = field(default_factory=set)
    owed: int = 0
    overdrawn: int = 0
    limit: int = 0
    closed: bool = False
    opened: bool = False
    freezes: set[str] = field(default_factory=set)
    earned: set[str] = field(default_factory=set)

    def usable(self, service: str | None) -> list[Lot]:
        """Lots in the order in which they burn down: those for this service, then those for anything."""
        live = [lot for lot in self.lots if not lot.waiting and (not lot.scope or service in lot.scope)]
        return sorted(live, key=lambda x: (not x.scope, x.priority, x.end, x.source == "paid", x.start, x.made))

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

    def take(self, lots: list[Lot], amount: int) -> list[tuple[Lot, int]]:
        """Take up to `amount` from the free part of lots in order."""
        parts = [(lot, 0) for lot in lots]
        for i, lot in enumerate(lots):
            parts[i] = (lot, min(lot.free, amount))
            amount -= parts[i][1]
            lot.free -= parts[i][1]
        return [(lot, n) for lot, n in parts if n]

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
        del self.holds[hold.id]
        self.ended.add(hold.id)

    def pass_time(self, now: float) -> None:
        """Limits of holds, then ends of lots, then starts of lots, each at its time."""
        due: list[tuple[float, int, str, Hold | Lot]] = [(h.end, 0, h.id, h) for h in self.holds.values()]
        due += [(lot.end, 1, lot.id, lot) for lot in self.lots if lot.free]
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
