"""`evolve(account, event) → account`: what is, given what happened.

It reads the event and nothing else: no config, no prices, no clock. It judges nothing, because history is not judged
again. The account given is left as it is. A lot that the event names must be in `account.lots`, dead or not; the
caller attaches dead ones (`attach`) and drops them again (`state.pruned`).
"""

from __future__ import annotations

from collections.abc import Iterable

from services.ledger.domain import events as ev
from services.ledger.domain.evolve import accounts, allowances, balances, budgets, holds, transfers
from services.ledger.domain.evolve.lots import Rules, ordered
from services.ledger.domain.state import STALE, Account, Crossing, Lot, next_due

_RULES: Rules = {
    **accounts.RULES,
    **allowances.RULES,
    **balances.RULES,
    **budgets.RULES,
    **holds.RULES,
    **transfers.RULES,
}


def attach(account: Account, lots: Iterable[Lot]) -> Account:
    """The account with these lots among its own, in burn-down order; those it already has stay as they are."""
    missing = {lot.terms.id: lot for lot in lots if lot.terms.id not in account.lots}
    if not missing:
        return account
    copy = account.clone()
    copy.lots = ordered({**account.lots, **missing})
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
