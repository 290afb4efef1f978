"""What an event took from each lot, and what it did to what is owed."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from services.ledger.domain import events as ev

Taken = tuple[str, str, int]
"""(lot, why, units): how much less remains of the lot; less than zero for what came back."""


def _all(slices: Iterable[ev.SliceOf | ev.MovedLot], why: str) -> list[Taken]:
    return [(s.lot, why, s.amount) for s in slices]


def _back(slices: Iterable[ev.SliceOf], why: str) -> list[Taken]:
    return [(s.lot, why, -s.amount) for s in slices]


def _returned(released: ev.Returned | None) -> list[Taken]:
    if released is None:
        return []
    return _all(released.broken, "expired") + _all(released.reclaimed, "revoked")


def new_lots(event: ev.AccountEvent) -> tuple[ev.NewLot, ...]:
    """The lots that an event makes, whatever event it is."""
    lot: ev.NewLot | None = getattr(event, "lot", None)
    lots: tuple[ev.NewLot, ...] = getattr(event, "lots", ())
    return lots if lot is None else (lot, *lots)


def _revoked(e: ev.GrantRevoked) -> list[Taken]:
    return [(e.grant, "revoked", e.taken)]


def _captured(e: ev.HoldCaptured) -> list[Taken]:
    return _all(e.slices, "captured") + _all(e.excess, "captured") + _returned(e.released)


def _started(e: ev.AccountChanged) -> list[Taken]:
    return [] if e.started is None else [(e.started.lot, "overdraft_repaid", e.overdraft_repaid)]


_RULES: dict[type, Callable[[Any], list[Taken]]] = {
    ev.GrantRevoked: _revoked,
    ev.CreditsCharged: lambda e: _all(e.slices, "charged"),
    ev.ChargeRefunded: lambda e: _back(e.slices, "refunded"),
    ev.HoldCaptured: _captured,
    ev.HoldReleased: lambda e: _returned(e.released),
    ev.HoldExpired: lambda e: _returned(e.released),
    ev.LotExpired: lambda e: [(e.grant, "expired", e.amount)],
    ev.PlanAssigned: lambda e: _all(e.ended, "plan_assigned"),
    ev.AllowanceReset: lambda e: _all(e.ended, "allowance_reset"),
    ev.OwedRepaid: lambda e: _all(e.slices, "owed_repaid"),
    ev.AccountChanged: _started,
    ev.TransferDebited: lambda e: _all(e.slices, "transferred"),
    ev.TransferReturned: lambda e: _back(e.slices, "transfer_returned"),
    ev.BalanceAdjusted: lambda e: _all(e.slices, "adjusted"),
}


def taken(event: ev.AccountEvent) -> list[Taken]:
    """What the event took from each lot, or gave back to it."""
    rule = _RULES.get(type(event))
    found = [] if rule is None else rule(event)
    # A lot that is made while an overdraft is used repays that first.
    found += [(lot.grant, "overdraft_repaid", lot.amount - lot.remaining) for lot in new_lots(event)]
    return [each for each in found if each[2]]


@dataclass(slots=True)
class Debt:
    """What became owed at once: `open` of `amount` still is. `cause` is the charge or the revoke."""

    why: str
    cause: str | None
    amount: int
    open: int
    at: int


def why_owed(event: ev.OwedRecorded) -> str:
    """What could not be taken: by a capture, from a grant under revocation that was captured, or by a revoke."""
    if not event.cause.startswith("charge_"):
        return "grant_revoked"
    return "capture_shortfall" if event.against == "@revenue" else "revoked_grant_captured"


def owed_after(debts: list[Debt], event: ev.AccountEvent) -> list[Debt]:
    """The debts after an event, the oldest first: what is repaid, is repaid of the oldest first.

    A refund takes what it forgives from the debt of its own charge, where there is one.
    """
    match event:
        case ev.OwedRecorded():
            return [*debts, Debt(why_owed(event), event.cause, event.amount, event.amount, event.at)]
        case ev.OwedRepaid():
            return _less(debts, event.amount)
        case ev.ChargeRefunded() if event.owed:
            return _less(sorted(debts, key=lambda debt: debt.cause != event.charge), event.owed)
        case _:
            return debts


def _less(debts: list[Debt], amount: int) -> list[Debt]:
    left = []
    for debt in debts:
        paid = min(debt.open, amount)
        amount -= paid
        if debt.open > paid:
            left.append(Debt(debt.why, debt.cause, debt.amount, debt.open - paid, debt.at))
    return sorted(left, key=lambda debt: debt.at)
