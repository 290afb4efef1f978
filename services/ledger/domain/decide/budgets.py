"""Budgets in decisions: what a charge or a hold would exceed, and what each event does to what is counted.

An account without budgets costs one look at each place: every function here returns at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.amounts import UNITS_MAX, format_units
from services.ledger.domain.budgets import EACH, Budget, Budgets, Count, CountKey, Place, drawn, totals
from services.ledger.domain.codec import format_time
from services.ledger.domain.decide.recorder import Recorder
from services.ledger.domain.records import ChargeRecord
from services.ledger.domain.rejections import Rejected, conflict
from services.ledger.domain.state import Account, Hold

Uses = tuple[ev.BudgetUse, ...]


@dataclass(slots=True)
class Claim:
    """A budget that is asked, and what it counts in the present period, of one member if it is of each."""

    budget: Budget
    member: str | None
    count: Count

    def use(self, more: int) -> ev.BudgetUse:
        """What it counts with so much more."""
        return _use((self.budget.name, self.member), self.count, self.count.used + more)


def _use(key: CountKey, count: Count, used: int) -> ev.BudgetUse:
    name, member = key
    end = None if count.end is None else ev.Time(count.end)
    return ev.BudgetUse(name, ev.Units(used), ev.Time(count.start), end, member)


def zone_of(account: Account, app_zone: ZoneInfo) -> ZoneInfo:
    """The zone in which the account's days begin: its own, else the app's."""
    zone = account.profile.zone
    return app_zone if zone is None else ZoneInfo(zone)


def claims(recorder: Recorder, labels: cmd.Labels, hold: Hold | None = None) -> list[Claim]:
    """The budgets that a charge or hold with these labels counts for, or more for a hold; 409 `too_many_members`."""
    book = recorder.account.budgets
    if book is None:
        return []
    found = _claims(recorder, book, labels) if hold is None else _claims_of_hold(recorder, book, hold)
    for each in found:
        if each.budget.member == EACH and (each.budget.name, each.member) not in book.counts:
            _check_members(recorder, book, each.budget)
    return found


def _claims(recorder: Recorder, book: Budgets, labels: cmd.Labels, names: frozenset[str] = frozenset()) -> list[Claim]:
    zone, now = zone_of(recorder.account, recorder.context.config.zone), recorder.now
    return [
        Claim(budget, member, book.count(budget, member, zone, now))
        for budget, member in book.concerned(labels.member, labels.caller, names)
    ]


def _claims_of_hold(recorder: Recorder, book: Budgets, hold: Hold) -> list[Claim]:
    """Those of the hold's member, and of the keys that it counted for when it was made: who asks does not matter."""
    names = frozenset(part.name for part in book.reserved.get(hold.terms.id, ()))
    return _claims(recorder, book, cmd.Labels(member=hold.terms.member), names)


def _check_members(recorder: Recorder, book: Budgets, budget: Budget) -> None:
    limit = recorder.context.config.document.policies.budget_members_max
    if len(book.counted_members(budget, recorder.now)) >= limit:
        detail = f"The budget '{budget.name}' counts {limit} members in this period; the app allows no more."
        raise conflict("too_many_members", detail, {"budget": budget.name, "limit": limit})


def left(asked: Iterable[Claim]) -> int:
    """What every hard one of these budgets still allows; less than nothing where one was exceeded."""
    return min((each.budget.limit - each.count.used for each in asked if each.budget.hard), default=UNITS_MAX)


def check(recorder: Recorder, asked: list[Claim], required: int) -> None:
    """409 `budget_exceeded` for the first hard budget that does not allow so much."""
    for each in asked:
        if required and each.budget.hard and each.count.used + required > each.budget.limit:
            raise _exceeded(recorder, each, required)


def refusing(recorder: Recorder, labels: cmd.Labels, amount: int) -> str | None:
    """The name of the budget that would refuse a charge of this amount, if one would."""
    try:
        check(recorder, claims(recorder, labels), amount)
    except Rejected as refused:
        return str(refused.extra["budget"])
    return None


def _exceeded(recorder: Recorder, claim: Claim, required: int) -> Rejected:
    budget, count = claim.budget, claim.count
    limit, used = recorder.amount(budget.limit), recorder.amount(count.used)
    extra = {
        "budget": budget.name,
        "member": claim.member,
        "limit": limit,
        "used": used,
        "required": recorder.amount(required),
        "resets_at": None if count.end is None else format_time(count.end),
    }
    detail = f"The budget '{budget.name}' allows {limit} credits, of which {used} are used."
    return conflict("budget_exceeded", detail, extra)


def counted(asked: list[Claim], amount: int) -> Uses:
    """What these budgets count once `amount` more was spent or reserved."""
    return tuple([each.use(amount) for each in asked])


def charged(recorder: Recorder, labels: cmd.Labels, amount: int) -> Uses:
    """What budgets count after a charge; 409 `budget_exceeded`, `too_many_members`."""
    asked = claims(recorder, labels)
    if not asked:
        return ()
    check(recorder, asked, amount)
    return counted(asked, amount)


def captured(recorder: Recorder, hold: Hold, amount: int, pinned: int, *, final: bool) -> Uses:
    """What budgets count after a capture: all of it in the present period, less what the hold no longer reserves of it.

    `pinned` is the part of `amount` that the hold had pinned.
    """
    book = recorder.account.budgets
    if book is None:
        return ()
    parts = book.reserved.get(hold.terms.id, ())
    reserved = totals(parts)
    kept = {} if final else totals(drawn(parts, pinned))
    uses = []
    for each in _claims_of_hold(recorder, book, hold):
        place = (each.budget.name, each.member, each.count.end)
        uses.append(each.use(amount - reserved.get(place, 0) + kept.get(place, 0)))
    return tuple(uses)


def released(recorder: Recorder, hold: str) -> Uses:
    """What budgets count after a hold has ended: less what it reserved, where the period is still the same."""
    book = recorder.account.budgets
    if book is None:
        return ()
    return _given_back(recorder, book, totals(book.reserved.get(hold, ())).items())


def refunded(recorder: Recorder, charge: ChargeRecord, amount: int) -> Uses:
    """What budgets count after `amount` of a charge was given back, where budget and period are still the same."""
    book = recorder.account.budgets
    if book is None:
        return ()
    same = {budget.name for budget in book.budgets if budget.version < charge.version}
    parts = [((use.name, use.member, use.period_end), amount) for use in charge.budgets if use.name in same]
    return _given_back(recorder, book, parts)


def _given_back(recorder: Recorder, book: Budgets, parts: Iterable[tuple[Place, int]]) -> Uses:
    uses = []
    for (name, member, end), amount in parts:
        count = book.still_counted((name, member), end, recorder.now)
        if count is not None:
            uses.append(_use((name, member), count, count.used - amount))
    return tuple(uses)


def tell(recorder: Recorder, uses: Uses) -> None:
    """Record that budgets are exceeded, each once in a period."""
    for use in uses:
        book = recorder.account.budgets
        if book is None:
            return
        budget = book.named(use.name)
        if budget is not None and use.used > budget.limit and not book.counts[use.name, use.member].told:
            event = ev.BudgetExceeded(
                budget=budget.name,
                limit=ev.Units(budget.limit),
                used=use.used,
                hard=budget.hard,
                period=budget.period,
                period_start=use.period_start,
                period_end=use.period_end,
            )
            event.member = use.member
            recorder.record(event)


def describe(account: Account, app_zone: ZoneInfo, now: int) -> list[dict[str, object]]:
    """The account's budgets as answers show them: what they count, hold and still allow in the period at `now`."""
    book = account.budgets
    if book is None:
        return []
    zone = zone_of(account, app_zone)
    return [_described(account, book, budget, zone, now) for budget in book.budgets]


def _described(account: Account, book: Budgets, budget: Budget, zone: ZoneInfo, now: int) -> dict[str, object]:
    scale = account.profile.scale
    start, end = budget.bounds(zone, now)
    shown: dict[str, object] = {
        "name": budget.name,
        "member": budget.member,
        "key": budget.key,
        "period": budget.period,
        "limit": format_units(budget.limit, scale),
        "hard": budget.hard,
    }
    if budget.member == EACH:
        members = book.counted_members(budget, now)
        counts = [(member, book.counts[budget.name, member]) for member in members]
        shown["members"] = [
            {"member": member, **_figures(book, budget, member, count, scale)} for member, count in counts
        ]
        return shown | _period(start, end)
    count = book.count(budget, budget.member, zone, now)
    return shown | _figures(book, budget, budget.member, count, scale)


def _figures(book: Budgets, budget: Budget, member: str | None, count: Count, scale: int) -> dict[str, object]:
    return {
        "used": format_units(count.used, scale),
        "held": format_units(book.held((budget.name, member), count.end), scale),
        "left": format_units(max(0, budget.limit - count.used), scale),
        **_period(count.start, count.end),
    }


def _period(start: int, end: int | None) -> dict[str, object]:
    return {"period_start": format_time(start), "period_end": None if end is None else format_time(end)}
