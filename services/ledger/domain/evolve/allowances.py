"""Plans and their allowances."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from services.ledger.domain import events as ev
from services.ledger.domain.evolve.lots import Rules, add_lots
from services.ledger.domain.state import STALE, Account, Allowance, Lot, Phase


def _lose(lot: Lot, amount: int) -> Lot:
    """What leaves a lot of an allowance counts as lost, even where another lot takes it over."""
    lot = lot.moved(-amount, 0)
    lot.broken += amount
    return lot


def _take_back(account: Account, ended: Iterable[ev.SliceOf]) -> int:
    """Take from lots that live on; how much that was."""
    lots = account.lots = dict(account.lots)
    total = 0
    for s in ended:
        lots[s.lot] = _lose(lots[s.lot], s.amount)
        total += s.amount
    return total


def _close(account: Account, ended: Iterable[ev.SliceOf]) -> None:
    """End every lot of the allowance: what holds have pinned stays theirs to capture."""
    free = {s.lot: int(s.amount) for s in ended}
    lots = account.lots = dict(account.lots)
    for name in () if account.allowance is None else account.allowance.lots:
        lot = lots.get(name)
        if lot is not None and lot.remaining:
            lots[name] = lot = _lose(lot, free.get(name, 0))
            lot.phase = Phase.EXPIRED


def _make(account: Account, lot: ev.NewLot | None, at: int, moved: int = 0) -> tuple[str, ...]:
    """Add the allowance's new lot, of which `moved` units were in the account before."""
    if lot is None:
        return ()
    add_lots(account, (lot,), at)
    account.granted_total += lot.amount - moved
    return (lot.grant,)


def _plan_assigned(a: Account, e: ev.PlanAssigned) -> None:
    a.due_at = STALE
    before = a.allowance
    if e.plan is None or e.period_start is None or e.period_end is None:
        a.allowance = None if before is None else replace(before, plan=None, paid_until=None, lapsed=False)
        return
    made = 0 if e.lot is None else e.lot.amount
    if e.renewed or before is None:
        _close(a, e.ended)
        lots = _make(a, e.lot, e.at)
        due = None if before is None else before.due_reset
        carried, given, last_reset, spent_before = 0, made, e.at, a.spent_total
    else:
        given = before.given + made - _take_back(a, e.ended)
        lots = before.lots + _make(a, e.lot, e.at)
        due, carried = before.due_reset, before.carried
        last_reset, spent_before = before.last_reset, before.spent_before
    a.allowance = Allowance(
        plan=e.plan,
        limit=e.limit,
        period_start=e.period_start,
        period_end=e.period_end,
        last_reset=last_reset,
        anchor=e.anchor,
        paid_until=e.paid_until,
        carried=carried,
        given=given,
        spent_before=spent_before,
        lots=lots,
        lapsed=e.lapsed,
        due_reset=due,
    )


def _allowance_reset(a: Account, e: ev.AllowanceReset) -> None:
    a.due_at = STALE
    before = a.allowance
    if before is None:
        raise KeyError("an allowance was reset where there is none")
    _close(a, e.ended)
    lots = _make(a, e.lot, e.at, e.moved)
    a.allowance = replace(
        before,
        plan=e.plan,
        limit=before.limit if e.lot is None else e.limit,
        period_start=e.period_start,
        period_end=e.period_end,
        carried=e.carried,
        given=0 if e.lot is None else e.lot.amount,
        lots=lots,
        lapsed=e.lot is None,
    )
    if e.lot is not None:
        a.allowance.last_reset = e.at if e.due_at is None else e.due_at
        a.allowance.spent_before = a.spent_total
        a.allowance.due_reset = before.due_reset if e.due_at is None else e.due_at


RULES: Rules = {ev.PlanAssigned: _plan_assigned, ev.AllowanceReset: _allowance_reset}
