"""What the ledger knows of one account. Values here are never changed in place: `evolve` makes new ones.

Amounts are integer units, times are microseconds since the epoch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Literal

from services.ledger.domain.budgets import BudgetPeriod, Budgets
from services.ledger.domain.pricing.card import RateCard

Source = Literal["paid", "promo", "allowance", "code", "earned", "refund", "cashback", "referral", "opening"]
RevokePolicy = Literal["debt", "absorb", "block"]
NEVER = 1 << 62
"""A time after every other: the expiry of what does not expire, in comparisons."""
STALE = -1
"""In place of a time: when an account is due next is to be worked out (`next_due`)."""
PRIORITY_DEFAULT = 100


class Phase(IntEnum):
    """Where a lot stands. Only a live lot can be spent from."""

    SCHEDULED = 0
    LIVE = 1
    EXPIRED = 2


@dataclass(slots=True)
class CostBasis:
    """What a lot cost its owner: integer minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


@dataclass(slots=True)
class Origin:
    """What a lot came from when it was not granted as such: a refund, a transfer."""

    kind: str
    id: str


@dataclass(slots=True)
class LotTerms:
    """What was agreed when a lot was made; never changes."""

    id: str
    amount: int
    source: Source
    priority: int
    granted_at: int
    effective_at: int
    expires_at: int | None
    scope: tuple[str, ...] = ()
    cost_basis: CostBasis | None = None
    origin: Origin | None = None
    burn_key: tuple[int, int, bool, int, str] = field(init=False)

    def __post_init__(self) -> None:
        """Burn-down: lower priority number, earlier expiry (never last), every other source before paid, older, id."""
        expiry = NEVER if self.expires_at is None else self.expires_at
        self.burn_key = (self.priority, expiry, self.source == "paid", self.granted_at, self.id)


@dataclass(slots=True)
class Lot:
    """What remains of a grant. `remaining` includes `pinned`, the part that holds have reserved.

    `revoking` is the part of `pinned` that a revoke takes as soon as it is released; `revoke_policy` says what
    happens to it when it is captured instead. `revoked` and `broken` are what a revoke and the expiry took.
    """

    terms: LotTerms
    remaining: int
    pinned: int = 0
    phase: Phase = Phase.LIVE
    revoked: int = 0
    broken: int = 0
    revoking: int = 0
    revoke_policy: RevokePolicy = "absorb"

    @property
    def free(self) -> int:
        """What can be charged or held now."""
        return self.remaining - self.pinned if self.phase == Phase.LIVE else 0

    @property
    def spent(self) -> int:
        """What charges, captures, transfers and repayments have used."""
        return self.terms.amount - self.remaining - self.revoked - self.broken

    @property
    def dead(self) -> bool:
        """Nothing can come of this lot any more, unless a refund or a revoke names it."""
        return self.remaining == 0 and self.phase != Phase.SCHEDULED

    def matches(self, service: str | None) -> bool:
        """Whether its scope lets it be spent on `service`; a lot without scope can be spent on anything."""
        scope = self.terms.scope
        return not scope or service in scope

    def moved(self, remaining: int, pinned: int) -> Lot:
        """The same lot after `remaining` and `pinned` have changed by these amounts."""
        return Lot(
            self.terms,
            self.remaining + remaining,
            self.pinned + pinned,
            self.phase,
            self.revoked,
            self.broken,
            self.revoking,
            self.revoke_policy,
        )


@dataclass(slots=True)
class Slice:
    """A part of one lot."""

    lot: str
    amount: int


@dataclass(slots=True)
class HoldTerms:
    """What was agreed when a hold was made, or extended by more; `limit_at` is how far its end can be moved.

    `card` are the prices that were pinned for it, by which it can be captured.
    """

    id: str
    amount: int
    created_at: int
    limit_at: int
    service: str | None = None
    grant: str | None = None
    member: str | None = None
    reference: str | None = None
    card: RateCard | None = None


@dataclass(slots=True)
class Hold:
    """An authorisation that is not resolved yet: the slices it still pins, and what was captured of it."""

    terms: HoldTerms
    slices: tuple[Slice, ...]
    expires_at: int
    captured: int = 0

    @property
    def remaining(self) -> int:
        """What can be captured without drawing on anything else."""
        return sum(s.amount for s in self.slices)


@dataclass(slots=True)
class Threshold:
    """A level of `available`: the ledger says when it is crossed downward, once, until `rearm_at` is reached.

    With `percent`, both follow from the allowance's limit instead: so many per cent of it, `rearm_percent` to arm.
    """

    level: int
    rearm_at: int
    percent: int | None = None
    rearm_percent: int | None = None

    def of(self, limit: int) -> Threshold:
        """The threshold as levels, under an allowance of `limit` units; parts of a unit count as a whole one."""
        if self.percent is None:
            return self
        level = -(-limit * self.percent // 100)
        rearm = level if self.rearm_percent is None else -(-limit * self.rearm_percent // 100)
        return Threshold(level, rearm, self.percent)


@dataclass(slots=True)
class Allowance:
    """An account's plan, and how far its allowance has come in the period under way. Times in microseconds.

    `plan` is None once it was unassigned: what is left lasts to the period's end. `lapsed`: not paid for when its
    period began, or no plan of the app any more. `lots` are those made in this period, `given` what they brought in,
    without what a smaller plan took back; `spent_before` is what the account had spent in all at `last_reset`.
    `due_reset` is when the latest scheduled reset was due.
    """

    plan: str | None
    limit: int
    period_start: int
    period_end: int
    last_reset: int
    anchor: int | None = None
    paid_until: int | None = None
    carried: int = 0
    given: int = 0
    spent_before: int = 0
    lots: tuple[str, ...] = ()
    lapsed: bool = False
    due_reset: int | None = None

    @property
    def next_reset(self) -> int | None:
        """When the allowance returns; None if it does not."""
        return None if self.plan is None or self.lapsed else self.period_end


@dataclass(slots=True)
class Crossing:
    """Whether a threshold would fire, and how often it was re-armed, counted from 1."""

    generation: int
    armed: bool


@dataclass(slots=True)
class Earned:
    """What was earned in the period that ends `until`: how often by a rule, or how much under a cap."""

    period: BudgetPeriod
    amount: int
    until: int | None


@dataclass(slots=True)
class Profile:
    """What is set about an account and seldom changes."""

    app: str
    user: str
    asset: str
    scale: int
    partition: int
    opened_at: int = 0
    closed_at: int | None = None
    zone: str | None = None
    overdraft_limit: int = 0
    frozen: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    price_list: str | None = None


@dataclass(slots=True)
class Account:
    """One account, (app, user, asset), as of its `version`. `version` 0 is an account that was never opened.

    `lots` are in burn-down order and `holds` in no order that matters. `due_at` is when time alone next changes
    something: a hold's limit, a reset of the allowance, a lot's expiry or its start. `earned` counts what each earning
    rule ever gave, `earned_times` those that earn anew in each period, `earned_under` the app's caps, by their period.
    """

    profile: Profile
    version: int = 0
    time_us: int = 0
    settled: int = 0
    held: int = 0
    owed: int = 0
    overdraft_used: int = 0
    granted_total: int = 0
    spent_total: int = 0
    due_at: int | None = None
    lots: dict[str, Lot] = field(default_factory=dict)
    holds: dict[str, Hold] = field(default_factory=dict)
    earned: dict[str, int] = field(default_factory=dict)
    crossings: dict[int, Crossing] = field(default_factory=dict)
    earned_times: dict[str, Earned] = field(default_factory=dict)
    earned_under: dict[str, Earned] = field(default_factory=dict)
    budgets: Budgets | None = None
    allowance: Allowance | None = None

    def clone(self) -> Account:
        """A copy that shares every part; its fields can be set before anybody else sees it."""
        return Account(
            self.profile,
            self.version,
            self.time_us,
            self.settled,
            self.held,
            self.owed,
            self.overdraft_used,
            self.granted_total,
            self.spent_total,
            self.due_at,
            self.lots,
            self.holds,
            self.earned,
            self.crossings,
            self.earned_times,
            self.earned_under,
            self.budgets,
            self.allowance,
        )

    def free(self, service: str | None = None) -> int:
        """The unpinned part of live lots that may be spent on `service`; unscoped lots only if none is named."""
        total = 0
        for lot in self.lots.values():
            if lot.phase == Phase.LIVE and (not lot.terms.scope or service in lot.terms.scope):
                total += lot.remaining - lot.pinned
        return total

    @property
    def overdraft_left(self) -> int:
        """What charges may still use of the overdraft."""
        return self.profile.overdraft_limit - self.overdraft_used

    def available(self, service: str | None = None) -> int:
        """What a charge may take: never stored, may be negative while the account owes."""
        return self.free(service) + self.overdraft_left - self.owed

    def burn_order(self, service: str | None) -> list[Lot]:
        """Lots to spend on `service`, first to burn first: those scoped to it, then unscoped ones."""
        if service is None:
            return [lot for lot in self.lots.values() if lot.phase == Phase.LIVE and not lot.terms.scope]
        scoped = [lot for lot in self.lots.values() if lot.phase == Phase.LIVE and service in lot.terms.scope]
        return scoped + self.burn_order(None)


def reset_due(account: Account) -> int | None:
    """When the account's allowance returns or lapses; None if it has none, and for a closed account."""
    return None if account.allowance is None or account.profile.closed_at is not None else account.allowance.next_reset


def next_due(account: Account) -> int | None:
    """The earliest time at which an account changes by itself, or None."""
    due = reset_due(account) or NEVER
    for hold in account.holds.values():
        due = min(due, hold.expires_at)
    for lot in account.lots.values():
        if lot.phase == Phase.SCHEDULED:
            due = min(due, lot.terms.effective_at)
        elif lot.phase == Phase.LIVE and lot.terms.expires_at is not None and lot.remaining:
            due = min(due, lot.terms.expires_at)
    return None if due == NEVER else due


def pruned(account: Account) -> Account:
    """The account without its dead lots: what is kept in memory between batches. Tables keep every lot."""
    for lot in account.lots.values():
        if lot.dead:
            break
    else:
        return account
    kept = account.clone()
    kept.lots = {key: lot for key, lot in account.lots.items() if not lot.dead}
    return kept
