"""What is set about an account, and what is noted of it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from services.ledger.domain import events as ev
from services.ledger.domain.evolve.lots import Rules
from services.ledger.domain.state import STALE, Account, Crossing, Phase, Threshold


def _account_opened(a: Account, e: ev.AccountOpened) -> None:
    a.profile = replace(a.profile, scale=e.scale, opened_at=e.at)


def _account_changed(a: Account, e: ev.AccountChanged) -> None:
    changes: dict[str, Any] = {}
    if e.zone is not None:
        changes["zone"] = e.zone
    if e.overdraft_limit is not None:
        changes["overdraft_limit"] = e.overdraft_limit
    if e.thresholds is not None:
        changes["thresholds"] = tuple(Threshold(t.level, t.rearm_at, t.percent, t.rearm_percent) for t in e.thresholds)
    if e.price_list is not None:
        changes["price_list"] = e.price_list or None
    if changes:
        a.profile = replace(a.profile, **changes)
    if e.started is not None:
        lots = a.lots = dict(a.lots)
        lot = lots[e.started.lot].moved(-e.overdraft_repaid, 0)
        lot.phase = Phase.LIVE
        lots[e.started.lot] = lot
        a.overdraft_used -= e.overdraft_repaid
        a.due_at = STALE


def _account_frozen(a: Account, e: ev.AccountFrozen) -> None:
    a.profile = replace(a.profile, frozen=(*a.profile.frozen, e.name))


def _account_unfrozen(a: Account, e: ev.AccountUnfrozen) -> None:
    a.profile = replace(a.profile, frozen=tuple(name for name in a.profile.frozen if name != e.name))


def _account_closed(a: Account, e: ev.AccountClosed) -> None:
    a.profile = replace(a.profile, closed_at=e.at)
    if a.allowance is not None:
        a.due_at = STALE


def _threshold_crossed(a: Account, e: ev.ThresholdCrossed) -> None:
    a.crossings = {**a.crossings, e.threshold: Crossing(e.generation, armed=False)}


def _operation_imported(a: Account, e: ev.OperationImported) -> None:
    if e.earned_as is not None:
        a.earned = {**a.earned, e.earned_as: a.earned.get(e.earned_as, 0) + 1}


RULES: Rules = {
    ev.AccountOpened: _account_opened,
    ev.AccountChanged: _account_changed,
    ev.AccountFrozen: _account_frozen,
    ev.AccountUnfrozen: _account_unfrozen,
    ev.AccountClosed: _account_closed,
    ev.ThresholdCrossed: _threshold_crossed,
    ev.OperationImported: _operation_imported,
}
