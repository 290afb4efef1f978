"""What events do to budgets: counts become what the event says, and holds remember what they reserve."""

from __future__ import annotations

from dataclasses import replace

from services.ledger.domain import events as ev
from services.ledger.domain.budgets import Budget, Budgets, Count, CountKey, Reservation, Reservations, drawn, totals
from services.ledger.domain.evolve.lots import Rules
from services.ledger.domain.state import Account


def _of(account: Account) -> Budgets:
    if account.budgets is None:
        raise KeyError("the account has no budgets")
    return account.budgets


def count(account: Account, uses: tuple[ev.BudgetUse, ...], at: int) -> None:
    """Take over what an event counted; as a new period begins, counts of those that ended are dropped."""
    if not uses:
        return
    book = _of(account)
    counts = dict(book.counts)
    for use in uses:
        key = (use.name, use.member)
        known = counts.get(key)
        if known is not None and known.end == use.period_end:
            counts[key] = Count(known.start, known.end, use.used, known.told)
        else:
            counts = {other: each for other, each in counts.items() if each.lasts(at)}
            counts[key] = Count(use.period_start, use.period_end, use.used)
    account.budgets = Budgets(book.budgets, counts, book.reserved)


def reserve(account: Account, hold: str, amount: int, uses: tuple[ev.BudgetUse, ...]) -> None:
    """Remember that an open hold reserves `amount`, more than before, of each budget that counted it."""
    if not uses:
        return
    book = _of(account)
    new = [Reservation(use.name, use.member, use.period_end, amount) for use in uses]
    parts = totals([*book.reserved.get(hold, ()), *new])
    _reserved(account, book, hold, tuple(Reservation(*place, total) for place, total in parts.items()))


def draw(account: Account, hold: str, slices: tuple[ev.SliceOf, ...]) -> None:
    """A capture took slices that an open hold pins, and so no longer reserves."""
    book = account.budgets
    if book is not None and hold in book.reserved:
        _reserved(account, book, hold, drawn(book.reserved[hold], sum(s.amount for s in slices)))


def let_go(account: Account, hold: str) -> None:
    """A hold that ends reserves nothing."""
    book = account.budgets
    if book is not None and hold in book.reserved:
        _reserved(account, book, hold, ())


def _reserved(account: Account, book: Budgets, hold: str, parts: Reservations) -> None:
    reserved = {other: each for other, each in book.reserved.items() if other != hold}
    if parts:
        reserved[hold] = parts
    account.budgets = Budgets(book.budgets, book.counts, reserved)


def _set(a: Account, e: ev.BudgetSet) -> None:
    before = {} if a.budgets is None else {budget.name: budget for budget in a.budgets.budgets}
    after: list[Budget] = []
    limits: dict[str, int] = {}
    for told in e.budgets:
        budget = Budget(told.name, told.period, told.limit, told.hard, told.member, told.key, e.at, e.account_version)
        known = before.get(told.name)
        if known is not None and budget.counts_like(known):
            budget.since, budget.version = known.since, known.version
            limits[budget.name] = budget.limit
        after.append(budget)
    if not after:
        a.budgets = None
        return
    counts: dict[CountKey, Count] = {}
    reserved: dict[str, Reservations] = {}
    if a.budgets is not None:
        for key, each in a.budgets.counts.items():
            if key[0] in limits and each.lasts(e.at):
                # Within a higher limit there is something to tell again.
                counts[key] = replace(each, told=each.told and each.used > limits[key[0]])
        for hold, parts in a.budgets.reserved.items():
            kept = tuple(part for part in parts if part.name in limits)
            if kept:
                reserved[hold] = kept
    a.budgets = Budgets(tuple(after), counts, reserved)


def _exceeded(a: Account, e: ev.BudgetExceeded) -> None:
    book = _of(a)
    key = (e.budget, e.member)
    a.budgets = Budgets(book.budgets, {**book.counts, key: replace(book.counts[key], told=True)}, book.reserved)


RULES: Rules = {
    ev.BudgetSet: _set,
    ev.BudgetExceeded: _exceeded,
}
