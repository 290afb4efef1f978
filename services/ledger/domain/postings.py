"""Double entry: every event maps to postings that sum to zero. Balances before and after derive from them.

The user's own accounts are `USER` (free credits, and the overdraft as a negative) and `HELD` (what holds have
pinned); settled is both together. System accounts begin with `@`; `@receivable` is negative by what users owe.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.ledger.domain import events as ev

USER = ""
HELD = ":held"
REVENUE = "@revenue"
BREAKAGE = "@breakage"
RECEIVABLE = "@receivable"
CLEARING = "@clearing"
SCHEDULED = "@scheduled"
ADJUSTMENTS = "@issued/adjustment"
REVOKED = "@issued/revoked"

Postings = list[tuple[str, int]]
"""(account, units) pairs; more than zero is what comes in."""


def issued(source: str) -> str:
    """The system account that grants of a source come from and go back to."""
    return f"@issued/{source}"


def _total(slices: tuple[ev.SliceOf, ...]) -> int:
    return sum(s.amount for s in slices)


def _new_lot(lot: ev.NewLot, origin: str) -> Postings:
    return [(origin, -lot.amount), (SCHEDULED if lot.scheduled else USER, lot.amount)]


def _returned(released: ev.Returned | None) -> Postings:
    if released is None:
        return []
    free, broken, reclaimed = _total(released.slices), _total(released.broken), _total(released.reclaimed)
    entries: Postings = [(HELD, -(free + broken + reclaimed)), (USER, free)]
    if broken:
        entries.append((BREAKAGE, broken))
    if reclaimed:
        entries.append((REVOKED, reclaimed))
    return entries


def _granted(e: ev.CreditsGranted) -> Postings:
    return _new_lot(e.lot, issued(e.lot.source))


def _revoked(e: ev.GrantRevoked) -> Postings:
    return [(SCHEDULED if e.scheduled else USER, -e.taken), (REVOKED, e.taken)]


def _charged(e: ev.CreditsCharged) -> Postings:
    return [(USER, -e.amount), (REVENUE, e.amount)]


def _refunded(e: ev.ChargeRefunded) -> Postings:
    entries: Postings = [(REVENUE, -e.amount), (USER, e.amount - e.owed)]
    if e.owed:
        entries.append((RECEIVABLE, e.owed))
    return entries


def _held(e: ev.HoldCreated | ev.HoldExtended) -> Postings:
    return [(USER, -e.amount), (HELD, e.amount)]


def _captured(e: ev.HoldCaptured) -> Postings:
    pinned = _total(e.slices)
    beyond = _total(e.excess) + e.overdraft
    entries: Postings = [(HELD, -pinned), (REVENUE, pinned + beyond)]
    if beyond:
        entries.append((USER, -beyond))
    return entries + _returned(e.released)


def _released(e: ev.HoldReleased | ev.HoldExpired) -> Postings:
    return _returned(e.released)


def _lot_expired(e: ev.LotExpired) -> Postings:
    return [(USER, -e.amount), (BREAKAGE, e.amount)]


def _owed_recorded(e: ev.OwedRecorded) -> Postings:
    return [(RECEIVABLE, -e.amount), (e.against, e.amount)]


def _owed_repaid(e: ev.OwedRepaid) -> Postings:
    return [(USER, -e.amount), (RECEIVABLE, e.amount)]


def _changed(e: ev.AccountChanged) -> Postings:
    return [] if e.started is None else [(SCHEDULED, -e.started.amount), (USER, e.started.amount)]


def _allowance(lot: ev.NewLot | None, ended: int, moved: int) -> Postings:
    """A new lot of an allowance, of which `moved` units come out of the old ones; the rest of those is lost."""
    made = 0 if lot is None else int(lot.amount)
    entries: Postings = [(USER, made - ended), (issued("allowance"), moved - made)]
    if ended > moved:
        entries.append((BREAKAGE, ended - moved))
    return entries


def _plan_assigned(e: ev.PlanAssigned) -> Postings:
    ended = _total(e.ended)
    return _allowance(e.lot, ended, 0) if e.lot is not None or ended else []


def _allowance_reset(e: ev.AllowanceReset) -> Postings:
    ended = _total(e.ended)
    return _allowance(e.lot, ended, e.moved) if e.lot is not None or ended else []


def _debited(e: ev.TransferDebited) -> Postings:
    return [(USER, -e.amount), (CLEARING, e.amount)]


def _credited(e: ev.TransferCredited | ev.TransferReturned) -> Postings:
    return [(CLEARING, -e.amount), (USER, e.amount)]


def _adjusted(e: ev.BalanceAdjusted) -> Postings:
    return [(ADJUSTMENTS, -e.amount), (USER, e.amount)]


_RULES: dict[type, Callable[[Any], Postings]] = {
    ev.CreditsGranted: _granted,
    ev.GrantRevoked: _revoked,
    ev.CreditsCharged: _charged,
    ev.ChargeRefunded: _refunded,
    ev.HoldCreated: _held,
    ev.HoldExtended: _held,
    ev.HoldCaptured: _captured,
    ev.HoldReleased: _released,
    ev.HoldExpired: _released,
    ev.LotExpired: _lot_expired,
    ev.OwedRecorded: _owed_recorded,
    ev.OwedRepaid: _owed_repaid,
    ev.AccountChanged: _changed,
    ev.PlanAssigned: _plan_assigned,
    ev.AllowanceReset: _allowance_reset,
    ev.TransferDebited: _debited,
    ev.TransferCredited: _credited,
    ev.TransferReturned: _credited,
    ev.BalanceAdjusted: _adjusted,
}


def postings(event: ev.Event) -> Postings:
    """The legs of an event, in units; empty for events that move nothing."""
    rule = _RULES.get(type(event))
    return [] if rule is None else rule(event)


def effect(event: ev.Event) -> tuple[int, int, int]:
    """What an event does to (settled, held, owed) of its account, derived from its postings."""
    settled = held = owed = 0
    for account, amount in postings(event):
        if account == USER:
            settled += amount
        elif account == HELD:
            settled += amount
            held += amount
        elif account == RECEIVABLE:
            owed -= amount
    return settled, held, owed
