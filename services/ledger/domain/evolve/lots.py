"""What events do to lots: the moves that all areas share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from services.ledger.domain import events as ev
from services.ledger.domain.state import Account, Lot, LotTerms, Phase

Rules: TypeAlias = dict[type, Callable[[Account, Any], None]]
"""What each type of event does to an account that has been cloned already."""


def ordered(lots: dict[str, Lot]) -> dict[str, Lot]:
    """The same lots in burn-down order."""
    return {lot.terms.id: lot for lot in sorted(lots.values(), key=lambda lot: lot.terms.burn_key)}


def take(account: Account, slices: Iterable[ev.SliceOf | ev.MovedLot], *, pinned: bool = False) -> bool:
    """Remove slices from their lots, in a new dict of the (already cloned) account; whether a lot is empty now."""
    lots = account.lots = dict(account.lots)
    emptied = False
    for s in slices:
        lot = lots[s.lot]
        lots[s.lot] = lot = lot.moved(-s.amount, -s.amount if pinned else 0)
        emptied = emptied or lot.remaining == 0
    return emptied


def put(account: Account, slices: Iterable[ev.SliceOf]) -> None:
    """Give slices back to their lots, in a new dict of the (already cloned) account."""
    lots = account.lots = dict(account.lots)
    for s in slices:
        lots[s.lot] = lots[s.lot].moved(s.amount, 0)


def add_lots(account: Account, new: Iterable[ev.NewLot], granted_at: int) -> None:
    """Make lots; what is missing of one that starts now has repaid a used overdraft."""
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
    account.lots = ordered(lots)


def unpin(account: Account, released: ev.Returned) -> None:
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
