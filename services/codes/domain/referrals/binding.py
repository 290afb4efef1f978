"""Whether somebody may be bound to who brought them: once, before their first payment, never in a circle."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

from services.codes.domain.referrals.signals import HARD, SOFT, Digests, SignalKind, shared
from services.codes.domain.referrals.terms import FlagTerms

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
LEVELS_MAX = 2
"""Who earns by a payment: the referrer, and the referrer's own referrer; nobody above."""

BindRefusal = Literal["already_bound", "already_paid", "self_referral", "referral_cycle"]
Flag = Literal["network", "device", "name", "many_a_day", "new_account"]

Known = Collection[tuple[SignalKind, bytes]]
"""Digests that were seen of one or of several people."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A referee who came by a code of `ancestors[0]`, and all that is known of both.

    `ancestors` are the referrer, their referrer, and so on to the top. `earners` are the digests of those who would
    earn, `circle` those of the referrer and of everybody they brought. Times are microseconds; `opened_at_us` is None
    while the ledger has not told of the account. `referrals_today` counts the referrer's of the last 24 hours.
    """

    referee: str
    ancestors: Sequence[str]
    at_us: int
    signals: Digests
    earners: Known
    circle: Known
    is_bound: bool = False
    has_paid: bool = False
    opened_at_us: int | None = None
    referrals_today: int = 0


def refusal_of(binding: Binding) -> BindRefusal | None:
    """Why it may not be; None if it may."""
    if binding.is_bound:
        return "already_bound"
    if binding.has_paid:
        return "already_paid"
    if binding.referee == binding.ancestors[0] or shared(HARD, binding.signals, binding.earners):
        return "self_referral"
    if binding.referee in binding.ancestors:
        return "referral_cycle"
    return None


def flags_of(binding: Binding, terms: FlagTerms) -> list[Flag]:
    """The soft signals that speak against it, whether or not they are enough to make it wait."""
    flags: list[Flag] = [kind for kind in SOFT if shared((kind,), binding.signals, binding.circle)]
    if binding.referrals_today >= terms.day_max:
        flags.append("many_a_day")
    age_us = 0 if binding.opened_at_us is None else binding.at_us - binding.opened_at_us
    if age_us < terms.account_hours_min * HOUR_US:
        flags.append("new_account")
    return flags


def must_wait(flags: Collection[Flag], terms: FlagTerms) -> bool:
    """Whether somebody has to look at it before it earns."""
    return len(flags) >= terms.signals_min
