"""Transfers between accounts."""

from __future__ import annotations

from services.ledger.domain import events as ev
from services.ledger.domain.evolve.lots import Rules, add_lots, put, take
from services.ledger.domain.state import STALE, Account


def _transfer_debited(a: Account, e: ev.TransferDebited) -> None:
    if take(a, e.slices):
        a.due_at = STALE


def _transfer_credited(a: Account, e: ev.TransferCredited) -> None:
    add_lots(a, e.lots, e.at)
    a.due_at = STALE


def _transfer_returned(a: Account, e: ev.TransferReturned) -> None:
    put(a, e.slices)
    add_lots(a, e.lots, e.at)
    a.due_at = STALE


RULES: Rules = {
    ev.TransferDebited: _transfer_debited,
    ev.TransferCredited: _transfer_credited,
    ev.TransferReturned: _transfer_returned,
}
