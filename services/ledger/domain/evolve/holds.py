"""Holds: what is pinned, captured, released."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from services.ledger.domain import events as ev
from services.ledger.domain.evolve.budgets import count, draw, let_go, reserve
from services.ledger.domain.evolve.lots import Rules, take, unpin
from services.ledger.domain.pricing.card import RateCard
from services.ledger.domain.state import STALE, Account, Hold, HoldTerms, Slice


def _pin(account: Account, slices: Iterable[ev.SliceOf]) -> None:
    lots = account.lots = dict(account.lots)
    for s in slices:
        lots[s.lot] = lots[s.lot].moved(0, s.amount)


def _together(slices: tuple[Slice, ...], more: Iterable[ev.SliceOf]) -> tuple[Slice, ...]:
    """One slice of each lot: what is more of a lot joins what there is of it."""
    amounts = {s.lot: s.amount for s in slices}
    for s in more:
        amounts[s.lot] = amounts.get(s.lot, 0) + s.amount
    return tuple(Slice(lot, amount) for lot, amount in amounts.items())


def pinned_card(priced: ev.Priced) -> RateCard:
    """The prices that a hold has pinned."""
    return RateCard(
        version=priced.version,
        rates=priced.rates,
        price=priced.price,
        model=priced.model,
        per=priced.per,
        markup_percent=priced.markup_percent,
        minimum=priced.minimum,
        price_list=priced.price_list,
        quote=priced.quote,
    )


def _hold_created(a: Account, e: ev.HoldCreated) -> None:
    _pin(a, e.slices)
    card = None if e.priced is None else pinned_card(e.priced)
    terms = HoldTerms(e.hold, e.amount, e.at, e.limit_at, e.service, e.grant, e.member, e.reference, card)
    a.holds = {**a.holds, e.hold: Hold(terms, tuple(Slice(s.lot, s.amount) for s in e.slices), e.expires_at)}
    a.due_at = e.expires_at if a.due_at is None else min(a.due_at, e.expires_at)
    count(a, e.budgets, e.at)
    reserve(a, e.hold, e.amount, e.budgets)


def _hold_extended(a: Account, e: ev.HoldExtended) -> None:
    hold = a.holds[e.hold]
    terms, slices = hold.terms, hold.slices
    if e.amount:
        _pin(a, e.slices)
        terms = replace(terms, amount=terms.amount + e.amount)
        slices = _together(slices, e.slices)
    a.holds = {**a.holds, e.hold: Hold(terms, slices, e.expires_at, hold.captured)}
    a.due_at = STALE
    count(a, e.budgets, e.at)
    reserve(a, e.hold, e.amount, e.budgets)


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
    take(a, e.slices, pinned=True)
    for s in e.slices:
        lot = a.lots[s.lot]
        # What was pinned when its lot was revoked and is captured now can no longer be taken back on release.
        lost = max(0, lot.revoking - lot.pinned)
        lot.revoking -= lost
        lot.revoked += lost
    if e.excess:
        take(a, e.excess)
    if e.released is not None:
        unpin(a, e.released)
    holds = dict(a.holds)
    if e.final:
        del holds[e.hold]
        let_go(a, e.hold)
    else:
        draw(a, e.hold, e.slices)
        holds[e.hold] = Hold(hold.terms, _without(hold.slices, e.slices), hold.expires_at, hold.captured + e.amount)
    a.holds = holds
    a.due_at = STALE
    count(a, e.budgets, e.at)


def _hold_ended(a: Account, e: ev.HoldReleased | ev.HoldExpired) -> None:
    unpin(a, e.released)
    holds = a.holds = dict(a.holds)
    del holds[e.hold]
    a.due_at = STALE
    let_go(a, e.hold)
    count(a, e.budgets, e.at)


RULES: Rules = {
    ev.HoldCreated: _hold_created,
    ev.HoldExtended: _hold_extended,
    ev.HoldCaptured: _hold_captured,
    ev.HoldReleased: _hold_ended,
    ev.HoldExpired: _hold_ended,
}
