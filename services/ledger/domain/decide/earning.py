"""How often an earning rule has earned, and how much all of them together: what of it a new period begins."""

from __future__ import annotations

from services.ledger.domain import events as ev
from services.ledger.domain.budgets import BudgetPeriod
from services.ledger.domain.codec import format_time
from services.ledger.domain.config import EarningRule
from services.ledger.domain.decide.recorder import Recorder
from services.ledger.domain.periods import period_of
from services.ledger.domain.rejections import Rejected, conflict
from services.ledger.domain.state import Earned


def times(recorder: Recorder, rule: EarningRule) -> ev.EarnedTimes | None:
    """What is counted once the rule has earned again, None for one that earns in a lifetime; 409 `already_earned`."""
    account = recorder.account
    if rule.period == "lifetime":
        if account.earned.get(rule.remembered_as, 0) >= rule.times:
            raise _already_earned(None)
        return None
    known = _present(recorder, account.earned_times.get(rule.remembered_as), rule.period)
    if known.amount >= rule.times:
        raise _already_earned(known.until)
    return ev.EarnedTimes(rule.period, known.amount + 1, _until(known))


def under(recorder: Recorder, rule: EarningRule) -> tuple[ev.EarnedUnder, ...]:
    """What is counted under each cap once the rule has earned; 409 `earning_cap_reached` where that would be too much.

    A rule earns all that it gives or nothing, so that what an action is worth does not depend on the others.
    """
    found = []
    for cap in recorder.context.config.earning_caps.get(rule.asset, ()):
        known = _present(recorder, recorder.account.earned_under.get(cap.period), cap.period)
        if known.amount + rule.amount > cap.limit:
            extra = {
                "cap": cap.period,
                "limit": recorder.amount(cap.limit),
                "earned": recorder.amount(known.amount),
                "required": recorder.amount(rule.amount),
                "next_at": None if known.until is None else format_time(known.until),
            }
            detail = f"Actions earn at most {extra['limit']} credits in a {cap.period}."
            raise conflict("earning_cap_reached", detail, extra)
        found.append(ev.EarnedUnder(cap.period, ev.Units(known.amount + rule.amount), _until(known)))
    return tuple(found)


def _present(recorder: Recorder, known: Earned | None, period: BudgetPeriod) -> Earned:
    """What was earned in the period that lasts. One that has begun keeps its end, whatever becomes of the zone."""
    if known is not None and known.period == period and (known.until is None or recorder.now < known.until):
        return known
    if period == "lifetime":
        return Earned(period, 0, None)
    return Earned(period, 0, period_of(period, recorder.context.config.zone, recorder.now)[1])


def _until(known: Earned) -> ev.Time | None:
    return None if known.until is None else ev.Time(known.until)


def _already_earned(until: int | None) -> Rejected:
    detail = "This user has already earned the credits of this action."
    if until is None:
        return conflict("already_earned", detail)
    return conflict("already_earned", detail, {"next_at": format_time(until)})
