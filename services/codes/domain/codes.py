"""Codes and when they may be used: the refusals, in the order in which the first one wins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal

from services.codes.domain.amounts import format_amount
from services.codes.domain.discounts import Checkout, Discount, unfit

Kind = Literal["recharge", "discount", "welcome", "bonus", "gift", "referral"]
CodeStatus = Literal["active", "paused", "void"]
RefusalCode = Literal[
    "locked_out",
    "code_not_found",
    "code_inactive",
    "code_not_yet_valid",
    "code_expired",
    "code_used_up",
    "code_already_redeemed",
    "code_not_for_you",
    "below_minimum",
    "wrong_currency",
    "wrong_service",
    "codes_do_not_stack",
    "above_balance",
    "budget_spent",
]
"""Why a code does not work, in the order in which the first one wins."""

Source = Literal["promo", "code", "cashback", "referral"]
"""Of credits, as the ledger names it."""

_SOURCES: Mapping[Kind, Source] = {"referral": "referral", "welcome": "promo", "bonus": "promo"}
DAY_US = 86_400 * 1_000_000


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a code does not work; `facts` are further fields of the answer, in JSON's types."""

    code: RefusalCode
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Credits:
    """The lot that a redemption makes: `source` None means the one of the kind; `expires_after_s` from then on."""

    amount: Decimal
    scope: tuple[str, ...] = ()
    source: Source | None = None
    expires_after_s: int | None = None


@dataclass(frozen=True, slots=True)
class Terms:
    """What a code promises, credits or a discount or both; unchanged from its first use on."""

    credits: Credits | None = None
    discount: Discount | None = None


@dataclass(frozen=True, slots=True)
class Audience:
    """Whom a code is for. `new`: who opened an account at most `days` ago and has not paid; `users`: of a list, or the
    one holder that it is bound to."""

    who: Literal["everyone", "new", "list", "holder"] = "everyone"
    users: frozenset[str] = frozenset()
    days: int = 30

    @property
    def holder(self) -> str | None:
        """Whom the code is bound to, if it is."""
        return next(iter(self.users)) if self.who == "holder" else None


@dataclass(frozen=True, slots=True)
class Code:
    """A code; times are microseconds since the epoch. `text` is known of public codes only."""

    id: str
    app: str
    kind: Kind
    terms: Terms
    text: str | None = None
    last4: str = ""
    name: str | None = None
    batch_id: str | None = None
    campaign_id: str | None = None
    max_uses: int | None = None
    per_user_limit: int | None = 1
    starts_at: int | None = None
    ends_at: int | None = None
    audience: Audience = Audience()
    status: CodeStatus = "active"
    reserved: int = 0
    redeemed: int = 0
    balance: Decimal | None = None
    frozen_at: int | None = None
    version: int = 1
    created_at: int = 0
    created_by: str = ""

    @property
    def user_limit(self) -> int | None:
        """How often one user may use it; a gift is bounded by its balance alone."""
        return None if self.kind == "gift" else self.per_user_limit

    @property
    def source(self) -> Source:
        """The source of the credits that it gives."""
        if self.terms.credits is not None and self.terms.credits.source is not None:
            return self.terms.credits.source
        return _SOURCES.get(self.kind, "code")


@dataclass(frozen=True, slots=True)
class Use:
    """Who wants to use a code, for which checkout if any, and what is known of them."""

    user: str
    checkout: Checkout | None = None
    opened_at: int | None = None
    first_paid_at: int | None = None


@dataclass(frozen=True, slots=True)
class Counts:
    """What limits a use beside the code's own counters: the user's uses of it, and what its campaign has left.

    `budget_left` is in credits, `budget_left_minor` in minor units of `budget_currency`; None: any amount. `gives` and
    `takes_off_minor` are what this use would take of them. `stacks`: whether it may join the checkout's other codes.
    """

    by_user: int = 0
    campaign_active: bool = True
    budget_left: Decimal | None = None
    budget_left_minor: int | None = None
    budget_currency: str | None = None
    gives: Decimal = Decimal(0)
    takes_off_minor: int = 0
    stacks: bool = True


def refusal_of(code: Code | None, use: Use, counts: Counts, now_us: int) -> Refusal | None:
    """The first reason why the code does not work; None if it does."""
    return next(_refusals(code, use, counts, now_us), None)


def all_refusals(code: Code | None, use: Use, counts: Counts, now_us: int) -> list[Refusal]:
    """Every reason why the code does not work, the one that wins first."""
    return list(_refusals(code, use, counts, now_us))


def refusal_of_entitlement(code: Code, use: Use, counts: Counts) -> Refusal | None:
    """Why a discount can't be taken by an entitlement: the code's limits and window were met when it was redeemed."""
    if code.status != "active" or not counts.campaign_active:
        return Refusal("code_inactive")
    for refusal in refusals_at_checkout(code, use, counts):
        return refusal
    return Refusal("budget_spent") if is_spent(counts) else None


def _refusals(code: Code | None, use: Use, counts: Counts, now_us: int) -> Iterator[Refusal]:
    if code is None:
        yield Refusal("code_not_found")
        return
    if code.status != "active" or not counts.campaign_active:
        yield Refusal("code_inactive")
    if code.starts_at is not None and now_us < code.starts_at:
        yield Refusal("code_not_yet_valid", {"starts_at": code.starts_at})
    if code.ends_at is not None and now_us >= code.ends_at:
        yield Refusal("code_expired", {"ends_at": code.ends_at})
    if (code.max_uses is not None and code.reserved + code.redeemed >= code.max_uses) or code.balance == 0:
        yield Refusal("code_used_up")
    if code.user_limit is not None and counts.by_user >= code.user_limit:
        yield Refusal("code_already_redeemed")
    if not _is_for(code.audience, use, now_us):
        yield Refusal("code_not_for_you")
    yield from refusals_at_checkout(code, use, counts)
    if code.balance is not None and 0 < code.balance < counts.gives:
        yield Refusal("above_balance", {"balance": format_amount(code.balance)})
    if is_spent(counts):
        yield Refusal("budget_spent")


def refusals_at_checkout(code: Code, use: Use, counts: Counts) -> Iterator[Refusal]:
    """Why the code's discount can't be taken off this checkout, whoever has used the code how often."""
    if code.terms.discount is not None and use.checkout is not None:
        reason = unfit(code.terms.discount, use.checkout)
        if reason is None and counts.budget_currency not in (None, use.checkout.currency):
            reason = "wrong_currency"
        if reason is not None:
            facts = {"min_minor": code.terms.discount.min_minor} if reason == "below_minimum" else {}
            yield Refusal(reason, facts)
    if not counts.stacks:
        yield Refusal("codes_do_not_stack")


def is_spent(counts: Counts) -> bool:
    """Whether the campaign has less left than this use would take."""
    return (counts.budget_left is not None and counts.gives > counts.budget_left) or (
        counts.budget_left_minor is not None and counts.takes_off_minor > counts.budget_left_minor
    )


def _is_for(audience: Audience, use: Use, now_us: int) -> bool:
    if audience.who == "everyone":
        return True
    if audience.who == "new":
        opened = now_us if use.opened_at is None else use.opened_at
        return use.first_paid_at is None and now_us - opened < audience.days * DAY_US
    return use.user in audience.users
