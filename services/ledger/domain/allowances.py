"""A plan as decisions read it: how much it gives, in which months, and what of the month before is carried over."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from libs.events.ids import Ids
from services.ledger.domain import events as ev
from services.ledger.domain.amounts import format_units, parse_positive, parse_signed
from services.ledger.domain.codec import format_time
from services.ledger.domain.periods import SECOND_US, anniversary_period, period_of
from services.ledger.domain.specs.allowances import AllowanceSpec, Period
from services.ledger.domain.state import Account, Lot, Origin, Phase, Threshold, reset_due


@dataclass(slots=True)
class Plan:
    """A compiled plan; amounts in units, times in microseconds."""

    name: str
    asset: str
    limit: int
    period: Period
    carry_min: int
    carry_max: int
    priority: int
    scope: tuple[str, ...]
    grace_us: int

    def month(self, zone: ZoneInfo, anchor: int | None, at: int) -> tuple[int, int]:
        """(start, end) of the period that a moment lies in; `anchor` is what months of an anniversary count from."""
        if self.period == "calendar" or anchor is None:
            return period_of("month", zone, at)
        return anniversary_period(anchor, zone, at)

    def carry(self, rest: int) -> int:
        """What is added to the next period's limit when `rest` of this one's is neither spent nor held."""
        return min(self.carry_max, max(self.carry_min, rest))

    def paid(self, paid_until: int | None, at: int) -> bool:
        """Whether a period that begins at a moment is given: it is paid for, or its grace lasts."""
        return paid_until is None or at < paid_until + self.grace_us


def compile_plan(name: str, spec: AllowanceSpec, asset: str, scale: int) -> Plan:
    """The form that decisions read, of a spec that has been checked."""
    rollover = spec.rollover
    return Plan(
        name=name,
        asset=asset,
        limit=parse_positive(spec.limit, scale),
        period=spec.period,
        carry_min=0 if rollover is None else parse_signed(rollover.min, scale),
        carry_max=0 if rollover is None else parse_positive(rollover.max, scale),
        priority=spec.priority,
        scope=tuple(spec.scope),
        grace_us=spec.grace_s * SECOND_US,
    )


def own_lots(account: Account) -> list[Lot]:
    """The live lots of the account's allowance that are not used up."""
    names = () if account.allowance is None else account.allowance.lots
    lots = (account.lots.get(name) for name in names)
    return [lot for lot in lots if lot is not None and lot.phase == Phase.LIVE and lot.remaining]


def free_of(account: Account) -> int:
    """What is left of the account's allowance and not held."""
    return sum(lot.free for lot in own_lots(account))


def ended_slices(account: Account) -> tuple[ev.SliceOf, ...]:
    """All that is free of the account's allowance."""
    return tuple(ev.SliceOf(lot.terms.id, ev.Units(lot.free)) for lot in own_lots(account) if lot.free)


def lot_of(plan: Plan, grant: str, amount: int, span: tuple[int, int], overdraft_repaid: int = 0) -> ev.NewLot:
    """A lot of the plan that may be spent within `span`, of which a used overdraft takes its part first."""
    return ev.NewLot(
        grant=grant,
        amount=ev.Units(amount),
        remaining=ev.Units(amount - overdraft_repaid),
        source="allowance",
        priority=plan.priority,
        effective_at=ev.Time(span[0]),
        expires_at=ev.Time(span[1]),
        scope=plan.scope,
        origin=Origin("plan", plan.name),
    )


def shown(account: Account) -> dict[str, Any]:
    """An account's plan and allowance as answers show them: {plan, allowance}, each None where there is none."""
    allowance, scale = account.allowance, account.profile.scale
    if allowance is None:
        return {"plan": None, "allowance": None}

    def moment(time_us: int | None) -> str | None:
        return None if time_us is None else format_time(time_us)

    return {
        "plan": allowance.plan,
        "allowance": {
            "status": "ended" if allowance.plan is None else "lapsed" if allowance.lapsed else "active",
            "limit": format_units(allowance.limit, scale),
            "carried": format_units(allowance.carried, scale),
            "left": format_units(free_of(account), scale),
            "used": format_units(max(0, account.spent_total - allowance.spent_before), scale),
            "last_reset": moment(allowance.last_reset),
            "next_reset": moment(reset_due(account)),
            "period_start": moment(allowance.period_start),
            "period_end": moment(allowance.period_end),
            "anchor": moment(allowance.anchor),
            "paid_until": moment(allowance.paid_until),
        },
    }


def threshold_shown(threshold: Threshold, scale: int) -> dict[str, Any]:
    """A threshold as answers show it, in credits or in per cent of the allowance."""
    if threshold.percent is not None:
        return {
            "below_percent": threshold.percent,
            "rearm_percent": threshold.percent if threshold.rearm_percent is None else threshold.rearm_percent,
        }
    return {"below": format_units(threshold.level, scale), "rearm_at": format_units(threshold.rearm_at, scale)}


def lot_id(ids: Ids, due_at: int, key: tuple[str, str, str]) -> str:
    """The id of the lot that a scheduled reset gives the account of (app, user, asset).

    A read that applies what is due shows the id that the event will have.
    """
    seed = "\x1f".join((*key, str(due_at)))
    return ids.derived("grant", due_at, hashlib.sha256(seed.encode()).digest())
