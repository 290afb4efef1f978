"""`evolve(account, event) → account`: what is, given what happened.

It reads the event and nothing else: no config, no prices, no clock. It judges nothing, because history is not judged
again. The account given is left as it is. A lot that the event names must be in `account.lots`, dead or not; the
caller attaches dead ones (`attach`) and drops them again (`state.pruned`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from services.ledger.domain import events as ev
from services.ledger.domain.state import (
    STALE,
    Account,
    Crossing,
    Hold,
    HoldTerms,
    Lot,
    LotTerms,
    Phase,
    Slice,
    Threshold,
    next_due,
)


def attach(account: Account, lots: Iterable[Lot]) -> Account:
    """The account with these lots among its own, in burn-down order; those it already has stay as they are."""
    missing = {lot.terms.id: lot for lot in lots if lot.terms.id not in account.lots}
    if not missing:
        return account
    copy = account.clone()
    copy.lots = _ordered({**account.lots, **missing})
    return copy


def lots_named(event: ev.Event) -> list[str]:
    """The lots that an event moves although they may be dead: whoever folds the log attaches them first."""
    match event:
        case ev.ChargeRefunded(slices=slices) | ev.TransferReturned(slices=slices):
            return [s.lot for s in slices]
        case ev.GrantRevoked(grant=grant):
            return [grant]
        case _:
            return []


def _ordered(lots: dict[str, Lot]) -> dict[str, Lot]:
    return {lot.terms.id: lot for lot in sorted(lots.values(), key=lambda lot: lot.terms.burn_key)}


def _take(account: Account, slices: Iterable[ev.SliceOf | ev.MovedLot], *, pinned: bool = False) -> bool:
    """Remove slices from their lots, in a new dict of the (already cloned) account; whether a lot is empty now."""
    lots = account.lots = dict(account.lots)
    emptied = False
    for s in slices:
        lot = lots[s.lot]
        lots[s.lot] = lot = lot.moved(-s.amount, -s.amount if pinned else 0)
        emptied = emptied or lot.remaining == 0
    return emptied


def _put(account: Account, slices: Iterable[ev.SliceOf]) -> None:
    lots = account.lots = dict(account.lots)
    for s in slices:
        lots[s.lot] = lots[s.lot].moved(s.amount, 0)


def _add_lots(account: Account, new: Iterable[ev.NewLot], granted_at: int) -> None:
    lots = dict(account.lots)
    for lot in new:
        terms = LotTerms(
            lot.grant,
            lot.amount,
            lot.source,
            lot.priority,
            granted_at,
            lot.effective_at,
            lot.expires_at,
            lot.scope,
            lot.cost_basis,
            lot.origin,
        )
        lots[lot.grant] = Lot(terms, lot.remaining, phase=Phase.SCHEDULED if lot.scheduled else Phase.LIVE)
        if not lot.scheduled:
            account.overdraft_used -= lot.amount - lot.remaining
    account.lots = _ordered(lots)


def _unpin(account: Account, released: ev.Returned) -> None:
    """Slices of a hold that ends: free again, broken because their lot expired, or taken by a revoke."""
    lots = account.lots = dict(account.lots)
    for s in released.slices:
        lots[s.lot] = lots[s.lot].moved(0, -s.amount)
    for s in released.broken:
        lot = lots[s.lot].moved(-s.amount, -s.amount)
        lot.broken += s.amount
        lots[s.lot] = lot
    for s in released.reclaimed:
        lot = lots[s.lot].moved(-s.amount, -s.amount)
        lot.revoked += s.amount
        lot.revoking -= s.amount
        lots[s.lot] = lot


def _account_opened(a: Account, e: ev.AccountOpened) -> None:
    a.profile = replace(a.profile, scale=e.scale, opened_at=e.at)


def _credits_granted(a: Account, e: ev.CreditsGranted) -> None:
    _add_lots(a, (e.lot,), e.at)
    a.granted_total += e.lot.amount
    if e.earned_as is not None:
        a.earned = {**a.earned, e.earned_as: a.earned.get(e.earned_as, 0) + 1}
    a.due_at = STALE


def _grant_revoked(a: Account, e: ev.GrantRevoked) -> None:
    lots = a.lots = dict(a.lots)
    lot = lots[e.grant].moved(-e.taken, 0)
    # What was spent counts as revoked too, owed or let go, so that a second revoke cannot claim it again.
    lot.revoked += e.taken + e.debt + e.absorbed
    lot.revoking += e.pending
    lot.revoke_policy = e.policy
    lots[e.grant] = lot
    a.due_at = STALE


def _credits_charged(a: Account, e: ev.CreditsCharged) -> None:
    a.spent_total += e.amount
    a.overdraft_used += e.overdraft
    if _take(a, e.slices):
        a.due_at = STALE


def _charge_refunded(a: Account, e: ev.ChargeRefunded) -> None:
    a.spent_total -= e.amount
    a.overdraft_used -= e.overdraft
    _put(a, e.slices)
    _add_lots(a, e.lots, e.at)
    a.due_at = STALE


def _hold_created(a: Account, e: ev.HoldCreated) -> None:
    lots = a.lots = dict(a.lots)
    for s in e.slices:
        lots[s.lot] = lots[s.lot].moved(0, s.amount)
    terms = HoldTerms(e.hold, e.amount, e.at, e.limit_at, e.service, e.grant, e.member, e.reference)
    a.holds = {**a.holds, e.hold: Hold(terms, tuple(Slice(s.lot, s.amount) for s in e.slices), e.expires_at)}
    a.due_at = e.expires_at if a.due_at is None else min(a.due_at, e.expires_at)


def _hold_extended(a: Account, e: ev.HoldExtended) -> None:
    hold = a.holds[e.hold]
    a.holds = {**a.holds, e.hold: Hold(hold.terms, hold.slices, e.expires_at, hold.captured)}
    a.due_at = STALE


def _without(slices: tuple[Slice, ...], taken: Iterable[ev.SliceOf]) -> tuple[Slice, ...]:
    gone: dict[str, int] = {}
    for s in taken:
        gone[s.lot] = gone.get(s.lot, 0) + s.amount
    left = (Slice(s.lot, s.amount - gone.get(s.lot, 0)) for s in slices)
    return tuple(s for s in left if s.amount)


def _hold_captured(a: Account, e: ev.HoldCaptured) -> None:
    hold = a.holds[e.hold]
    a.spent_total += e.amount
    a.overdraft_used += e.overdraft
    _take(a, e.slices, pinned=True)
    for s in e.slices:
        lot = a.lots[s.lot]
        # What was pinned when its lot was revoked and is captured now can no longer be taken back on release.
        lost = max(0, lot.revoking - lot.pinned)
        lot.revoking -= lost
        lot.revoked += lost
    if e.excess:
        _take(a, e.excess)
    if e.released is not None:
        _unpin(a, e.released)
    holds = dict(a.holds)
    if e.final:
        del holds[e.hold]
    else:
        holds[e.hold] = Hold(hold.terms, _without(hold.slices, e.slices), hold.expires_at, hold.captured + e.amount)
    a.holds = holds
    a.due_at = STALE


def _hold_ended(a: Account, e: ev.HoldReleased | ev.HoldExpired) -> None:
    _unpin(a, e.released)
    holds = a.holds = dict(a.holds)
    del holds[e.hold]
    a.due_at = STALE


def _lot_expired(a: Account, e: ev.LotExpired) -> None:
    lots = a.lots = dict(a.lots)
    lot = lots[e.grant].moved(-e.amount, 0)
    lot.phase = Phase.EXPIRED
    lot.broken += e.amount
    lots[e.grant] = lot
    a.due_at = STALE


def _owed_repaid(a: Account, e: ev.OwedRepaid) -> None:
    if _take(a, e.slices):
        a.due_at = STALE


def _account_changed(a: Account, e: ev.AccountChanged) -> None:
    changes: dict[str, Any] = {}
    if e.zone is not None:
        changes["zone"] = e.zone
    if e.overdraft_limit is not None:
        changes["overdraft_limit"] = e.overdraft_limit
    if e.thresholds is not None:
        changes["thresholds"] = tuple(Threshold(t.level, t.rearm_at) for t in e.thresholds)
    if changes:
        a.profile = replace(a.profile, **changes)
    if e.started is not None:
        lots = a.lots = dict(a.lots)
        lot = lots[e.started.lot].moved(-e.overdraft_repaid, 0)
        lot.phase = Phase.LIVE
        lots[e.started.lot] = lot
        a.overdraft_used -= e.overdraft_repaid
        a.due_at = STALE


def _transfer_debited(a: Account, e: ev.TransferDebited) -> None:
    if _take(a, e.slices):
        a.due_at = STALE


def _transfer_credited(a: Account, e: ev.TransferCredited) -> None:
    _add_lots(a, e.lots, e.at)
    a.due_at = STALE


def _transfer_returned(a: Account, e: ev.TransferReturned) -> None:
    _put(a, e.slices)
    _add_lots(a, e.lots, e.at)
    a.due_at = STALE


def _balance_adjusted(a: Account, e: ev.BalanceAdjusted) -> None:
    if e.lot is not None:
        _add_lots(a, (e.lot,), e.at)
        a.granted_total += e.lot.amount
    _take(a, e.slices)
    a.due_at = STALE


def _account_frozen(a: Account, e: ev.AccountFrozen) -> None:
    a.profile = replace(a.profile, frozen=(*a.profile.frozen, e.name))


def _account_unfrozen(a: Account, e: ev.AccountUnfrozen) -> None:
    a.profile = replace(a.profile, frozen=tuple(name for name in a.profile.frozen if name != e.name))


def _account_closed(a: Account, e: ev.AccountClosed) -> None:
    a.profile = replace(a.profile, closed_at=e.at)


def _threshold_crossed(a: Account, e: ev.ThresholdCrossed) -> None:
    a.crossings = {**a.crossings, e.threshold: Crossing(e.generation, armed=False)}


def _nothing(_a: Account, _e: ev.AccountEvent) -> None:
    """Its balances, which every event carries, are all that it changes."""


_RULES: dict[type, Callable[[Account, Any], None]] = {
    ev.AccountOpened: _account_opened,
    ev.CreditsGranted: _credits_granted,
    ev.GrantRevoked: _grant_revoked,
    ev.CreditsCharged: _credits_charged,
    ev.ChargeRefunded: _charge_refunded,
    ev.HoldCreated: _hold_created,
    ev.HoldExtended: _hold_extended,
    ev.HoldCaptured: _hold_captured,
    ev.HoldReleased: _hold_ended,
    ev.HoldExpired: _hold_ended,
    ev.LotExpired: _lot_expired,
    ev.OwedRecorded: _nothing,
    ev.OwedRepaid: _owed_repaid,
    ev.AccountChanged: _account_changed,
    ev.TransferDebited: _transfer_debited,
    ev.TransferCredited: _transfer_credited,
    ev.TransferReturned: _transfer_returned,
    ev.BalanceAdjusted: _balance_adjusted,
    ev.AccountFrozen: _account_frozen,
    ev.AccountUnfrozen: _account_unfrozen,
    ev.AccountClosed: _account_closed,
    ev.ThresholdCrossed: _threshold_crossed,
}


def rearm(account: Account, levels: tuple[ev.Units, ...]) -> None:
    """Arm thresholds again in an account that nobody else sees yet, counting a generation each."""
    crossings = dict(account.crossings)
    for level in levels:
        crossings[level] = Crossing(crossings[level].generation + 1, armed=True)
    account.crossings = crossings


def fold(account: Account, event: ev.AccountEvent) -> Account:
    """The account after `event`, except that its `due_at` may be STALE: for folding many events at once.

    KeyError if the event names a lot or hold that the account does not have.
    """
    after = account.clone()
    _RULES[type(event)](after, event)
    after.version = event.account_version
    after.time_us = event.at
    after.settled = event.after.settled
    after.held = event.after.held
    after.owed = event.after.owed
    if event.rearmed:
        rearm(after, event.rearmed)
    return after


def know_due(account: Account) -> None:
    """Work out `due_at` of an account that was just folded, and that nobody else sees yet."""
    if account.due_at == STALE:
        account.due_at = next_due(account)


def evolve(account: Account, event: ev.AccountEvent) -> Account:
    """The account after `event`. KeyError if the event names a lot or hold that the account does not have."""
    after = fold(account, event)
    know_due(after)
    return after
