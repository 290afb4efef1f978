"""Grants, revokes, charges, refunds, expiries, debts and adjustments."""

from __future__ import annotations

from services.ledger.domain import events as ev
from services.ledger.domain.evolve.budgets import count
from services.ledger.domain.evolve.lots import Rules, add_lots, put, take
from services.ledger.domain.state import STALE, Account, Earned, Phase


def _credits_granted(a: Account, e: ev.CreditsGranted) -> None:
    add_lots(a, (e.lot,), e.at)
    a.granted_total += e.lot.amount
    if e.earned_as is not None:
        a.earned = {**a.earned, e.earned_as: a.earned.get(e.earned_as, 0) + 1}
        if e.earned_times is not None:
            told = e.earned_times
            a.earned_times = {**a.earned_times, e.earned_as: Earned(told.period, told.times, told.until)}
        for cap in e.earned_under:
            a.earned_under = {**a.earned_under, cap.period: Earned(cap.period, cap.earned, cap.until)}
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
    if take(a, e.slices):
        a.due_at = STALE
    count(a, e.budgets, e.at)


def _charge_refunded(a: Account, e: ev.ChargeRefunded) -> None:
    a.spent_total -= e.amount
    a.overdraft_used -= e.overdraft
    put(a, e.slices)
    add_lots(a, e.lots, e.at)
    a.due_at = STALE
    count(a, e.budgets, e.at)


def _lot_expired(a: Account, e: ev.LotExpired) -> None:
    lots = a.lots = dict(a.lots)
    lot = lots[e.grant].moved(-e.amount, 0)
    lot.phase = Phase.EXPIRED
    lot.broken += e.amount
    lots[e.grant] = lot
    a.due_at = STALE


def _owed_repaid(a: Account, e: ev.OwedRepaid) -> None:
    if take(a, e.slices):
        a.due_at = STALE


def _balance_adjusted(a: Account, e: ev.BalanceAdjusted) -> None:
    if e.lot is not None:
        add_lots(a, (e.lot,), e.at)
        a.granted_total += e.lot.amount
    take(a, e.slices)
    a.due_at = STALE


def _nothing(_a: Account, _e: ev.AccountEvent) -> None:
    """Its balances, which every event carries, are all that it changes."""


RULES: Rules = {
    ev.CreditsGranted: _credits_granted,
    ev.GrantRevoked: _grant_revoked,
    ev.CreditsCharged: _credits_charged,
    ev.ChargeRefunded: _charge_refunded,
    ev.LotExpired: _lot_expired,
    ev.OwedRecorded: _nothing,
    ev.OwedRepaid: _owed_repaid,
    ev.BalanceAdjusted: _balance_adjusted,
}
