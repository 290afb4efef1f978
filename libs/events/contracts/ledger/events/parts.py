"""What events are made of."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from libs.events.contracts.base import Event
from libs.events.contracts.ledger.fields import BudgetPeriod, Credits, Source, Time


class Part(BaseModel):
    """A part of a message; unknown fields of it are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Balances(Part):
    """The stored balances of an account. What is available follows from its lots and is never stored."""

    settled: Credits
    held: Credits
    owed: Credits


class SliceOf(Part):
    """A part of a lot that was moved."""

    lot: str
    amount: Credits


class Returned(Part):
    """How reserved slices ended: free again, expired on the way (`broken`), or taken by a revoke (`reclaimed`)."""

    slices: tuple[SliceOf, ...] = ()
    broken: tuple[SliceOf, ...] = ()
    reclaimed: tuple[SliceOf, ...] = ()


class CostBasisOf(Part):
    """What credits cost their owner: minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


class OriginOf(Part):
    """What a lot came from when it was not granted as such: a refund, a transfer, an adjustment."""

    kind: str
    id: str


class NewLot(Part):
    """A lot that was made. `remaining` is less than `amount` when it repaid a used overdraft first."""

    grant: str
    amount: Credits
    remaining: Credits
    source: Source
    priority: int
    effective_at: Time
    expires_at: Time | None = None
    scope: tuple[str, ...] = ()
    cost_basis: CostBasisOf | None = None
    origin: OriginOf | None = None
    scheduled: bool = False


class MovedLot(Part):
    """A slice that left by a transfer, with the terms that it keeps on the other side."""

    lot: str
    amount: Credits
    source: Source
    priority: int
    expires_at: Time | None = None
    scope: tuple[str, ...] = ()
    cost_basis: CostBasisOf | None = None


class ThresholdOf(Part):
    """One entry of an account's own list of thresholds; of a `percent` of the allowance the level is not used."""

    level: Credits
    rearm_at: Credits
    percent: int | None = None
    rearm_percent: int | None = None


class BudgetOf(Part):
    """A budget as it was set: of one `member` (`*`: of each), of whoever has a `key`, or of all together."""

    name: str
    period: BudgetPeriod
    limit: Credits
    hard: bool = True
    member: str | None = None
    key: str | None = None


class BudgetUse(Part):
    """What a budget counts after the event, in the period from `period_start` on: spent, and reserved by open holds."""

    name: str
    used: Credits
    period_start: Time
    period_end: Time | None = None
    member: str | None = None


class EarnedTimes(Part):
    """How often an earning rule has earned in the period that ends `until`."""

    period: BudgetPeriod
    times: int
    until: Time | None = None


class EarnedUnder(Part):
    """What all earning rules together have earned under a cap, in the period that ends `until`."""

    period: BudgetPeriod
    earned: Credits
    until: Time | None = None


class CountOf(Part):
    """How much of a unit was used."""

    unit: str
    count: str


class PricedLine(Part):
    """A part of a price: `count` of a unit at `unit_price` (for one, or for `per` tokens) is `amount`, not rounded."""

    unit: str
    count: str
    unit_price: str
    amount: str


class RateOf(Part):
    """The price of one unit, or of `per` tokens; above `over` of an operation's quantity or a model's input."""

    unit: str
    price: str
    over: int = 0


class Priced(Part):
    """What an amount was worked out from: `usage` of an operation (`price`) or a `model`, at price version `version`.

    The sum of the lines, marked up, raised to the minimum and rounded up once, is the amount. A hold pins `rates`.
    """

    version: int
    usage: tuple[CountOf, ...]
    lines: tuple[PricedLine, ...]
    price: str | None = None
    model: str | None = None
    markup_percent: str = "0"
    minimum: Credits = "0"
    price_list: str | None = None
    quote: str | None = None
    per: int = 1
    rates: tuple[RateOf, ...] = ()


class AccountEvent(Event):
    """What every event of an account tells; `rearmed` are the thresholds that it armed again."""

    asset: str
    account_version: int
    config_version: int
    before: Balances
    after: Balances
    rearmed: tuple[Credits, ...] = ()
    reference: str | None = None
    unique_ref: str | None = None
    reason: str | None = None
    member: str | None = None
    text_digest: str | None = None


class AppEvent(Event):
    """An event of the app itself, in the name of `@app`: it opens no account and carries no balances."""
