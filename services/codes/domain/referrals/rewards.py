"""What a referral earns: by the first payment, after its hold, unless it is refunded, never above a month's limit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext
from typing import Literal
from zoneinfo import ZoneInfo

from services.codes.domain.referrals.binding import DAY_US
from services.codes.domain.referrals.terms import ReferralTerms, RewardTerms

Review = Literal["none", "waiting", "approved"]
"""Whether somebody has to look at a referral, or has."""

Status = Literal["bound", "on_hold", "settled", "refused"]
"""`bound`: the referee has not paid; `on_hold`: they have, and rewards are still to come; `settled`: each reward was
decided on; `refused`: it earns nothing, whatever comes."""

RewardRole = Literal["referrer", "referee", "second_level"]
LIMITED: frozenset[RewardRole] = frozenset({"referrer", "second_level"})
"""What counts towards a month's limit: what is earned by bringing others."""

RewardStatus = Literal["waiting", "pending", "sent", "paid", "refused", "revoking", "revoked"]
"""`waiting` for somebody's approval, `pending` until the hold ends, `sent` to the ledger, and what came of it."""

ReferralRefusal = Literal["paid_before", "self_referral", "order_refunded", "no_programme", "no_reward", "by_manager"]
FRAUD: frozenset[ReferralRefusal] = frozenset({"self_referral", "by_manager"})
"""Reasons for which a referral counts for nothing, the second level of others included."""

RewardRefusal = Literal[
    "referral_refused", "upper_refused", "order_refunded", "month_limit", "nothing_left", "by_ledger"
]

_SECOND_US = 1_000_000
_EXACT = Context(prec=80)


@dataclass(frozen=True, slots=True)
class Order:
    """The referee's first payment: what was paid, in minor units, and when it settled."""

    id: str
    amount_minor: int
    currency: str
    paid_at_us: int


@dataclass(frozen=True, slots=True)
class Promise:
    """A reward that is owed when the hold ends: `fixed` credits, and `rate` for each minor unit that is left."""

    role: RewardRole
    user: str
    fixed: Decimal
    rate: Decimal


def due_at_us(order: Order, terms: ReferralTerms) -> int:
    """When the hold of an order ends."""
    return order.paid_at_us + terms.hold_days * DAY_US


def promises(order: Order, terms: ReferralTerms, referee: str, referrer: str, upper: str | None) -> Iterator[Promise]:
    """What a payment promises to whom; `upper` is the referrer's referrer, if there is one.

    Per cent of an order in a currency that the app has no rate for are none, and promised to nobody.
    """
    earners: tuple[tuple[RewardRole, str | None, RewardTerms | None], ...] = (
        ("referrer", referrer, terms.referrer),
        ("referee", referee, terms.referee),
        ("second_level", upper, terms.second_level),
    )
    for role, user, reward in earners:
        if user is None or reward is None:
            continue
        promise = Promise(role, user, Decimal(reward.amount or 0), _rate(order, reward, terms))
        if promise.fixed or promise.rate:
            yield promise


def _rate(order: Order, reward: RewardTerms, terms: ReferralTerms) -> Decimal:
    with localcontext(_EXACT):
        return Decimal(terms.credits_per_minor.get(order.currency, "0")) * (reward.order_percent or 0) / 100


def takes_back(refunded_at_us: int, due_us: int, after_refund: Literal["keep", "revoke"]) -> bool:
    """Whether a refund of the whole order undoes its rewards: within the hold always, after it if the app says so.

    Both times are those of the events, so that it doesn't matter which was heard of first.
    """
    return refunded_at_us < due_us or after_refund == "revoke"


def wanted(promise: Promise, left_minor: int, decimals: int) -> Decimal:
    """The reward's credits for what is left of the order after refunds; per cent are rounded, half away from zero."""
    with localcontext(_EXACT):
        return promise.fixed + (promise.rate * left_minor).quantize(Decimal(1).scaleb(-decimals), ROUND_HALF_UP)


def within_limit(wanted: Decimal, earned: Decimal, limit: Decimal) -> Decimal:
    """As much of it as a referrer who `earned` so much this month may still earn."""
    return max(Decimal(0), min(wanted, limit - earned))


def month_of(time_us: int, zone: ZoneInfo) -> str:
    """The calendar month that clocks of the zone show, such as `2026-03`."""
    return datetime.fromtimestamp(time_us // _SECOND_US, zone).strftime("%Y-%m")


def text_of(amount: Decimal) -> str:
    """Credits as a decimal string without an exponent."""
    return f"{amount:f}"
