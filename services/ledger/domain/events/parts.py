"""What events are made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NewType

from services.ledger.domain.budgets import BudgetPeriod
from services.ledger.domain.pricing.card import Count, Line, Rate
from services.ledger.domain.state import CostBasis, Origin, Source

Units = NewType("Units", int)
Time = NewType("Time", int)
ZERO = Units(0)


@dataclass(slots=True)
class Balances:
    """The three stored balances of an account; `available` is computed, never stored."""

    settled: Units
    held: Units
    owed: Units


_NOTHING = Balances(Units(0), Units(0), Units(0))


@dataclass(slots=True)
class SliceOf:
    """A part of a lot that an event moved."""

    lot: str
    amount: Units


@dataclass(slots=True)
class Returned:
    """How pinned slices ended: free again, expired on the way (`broken`), or taken by a revoke (`reclaimed`)."""

    slices: tuple[SliceOf, ...] = ()
    broken: tuple[SliceOf, ...] = ()
    reclaimed: tuple[SliceOf, ...] = ()


@dataclass(slots=True)
class NewLot:
    """A lot that an event makes. `remaining` is less than `amount` when it repaid a used overdraft first."""

    grant: str
    amount: Units
    remaining: Units
    source: Source
    priority: int
    effective_at: Time
    expires_at: Time | None = None
    scope: tuple[str, ...] = ()
    cost_basis: CostBasis | None = None
    origin: Origin | None = None
    scheduled: bool = False


@dataclass(slots=True)
class MovedLot:
    """A slice that leaves an account by a transfer, with the terms that it keeps on the other side."""

    lot: str
    amount: Units
    source: Source
    priority: int
    expires_at: Time | None = None
    scope: tuple[str, ...] = ()
    cost_basis: CostBasis | None = None


@dataclass(slots=True)
class ThresholdOf:
    """One entry of an account's own list of thresholds; of a `percent` of the allowance the level is not used."""

    level: Units
    rearm_at: Units
    percent: int | None = None
    rearm_percent: int | None = None


@dataclass(slots=True)
class BudgetOf:
    """A budget as it was set: of one `member` (`*`: of each), of whoever has a `key`, or of all together."""

    name: str
    period: BudgetPeriod
    limit: Units
    hard: bool = True
    member: str | None = None
    key: str | None = None


@dataclass(slots=True)
class BudgetUse:
    """What a budget counts after an event, in the period from `period_start` on: spent, and reserved by open holds."""

    name: str
    used: Units
    period_start: Time
    period_end: Time | None = None
    member: str | None = None


@dataclass(slots=True)
class EarnedTimes:
    """How often an earning rule has earned in the period that ends `until`."""

    period: BudgetPeriod
    times: int
    until: Time | None = None


@dataclass(slots=True)
class EarnedUnder:
    """What all earning rules together have earned under a cap, in the period that ends `until`."""

    period: BudgetPeriod
    earned: Units
    until: Time | None = None


@dataclass(slots=True, kw_only=True)
class Priced:
    """What an amount was worked out from: `usage` of an operation (`price`) or a `model`, at price version `version`.

    `lines` are exact; their sum, marked up, raised to the minimum and rounded up once, is the amount. `per` and `rates`
    are there where they are pinned for later: in a hold.
    """

    version: int
    usage: tuple[Count, ...]
    lines: tuple[Line, ...]
    price: str | None = None
    model: str | None = None
    markup_percent: str = "0"
    minimum: Units = ZERO
    price_list: str | None = None
    quote: str | None = None
    per: int = 1
    rates: tuple[Rate, ...] = ()


@dataclass(slots=True, kw_only=True)
class AccountEvent:
    """What every event of an account carries. The first group is filled in when the event is recorded."""

    at: int = 0
    """The writer's time, a column of the log and so not part of the payload."""
    asset: str = ""
    account_version: int = 0
    config_version: int = 0
    before: Balances = field(default_factory=lambda: _NOTHING)
    after: Balances = field(default_factory=lambda: _NOTHING)
    rearmed: tuple[Units, ...] = ()
    """Thresholds that this event armed again."""

    reference: str | None = None
    unique_ref: str | None = None
    reason: str | None = None
    member: str | None = None
    text_digest: str | None = None
    """SHA-256 of salt and erasable text, in hexadecimal; the text itself is not in the log."""


@dataclass(slots=True, kw_only=True)
class AppEvent:
    """An event of the app itself, in the name of `@app`: it opens no account and carries no balances."""

    at: int = 0
