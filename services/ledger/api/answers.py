"""What the routes answer, for the OpenAPI document: answers are rendered by the rules, not by these."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

Credits = Annotated[str, Field(description="A decimal string at the asset's full scale.", examples=["12.50"])]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Answer(BaseModel):
    """Fields may be added; readers pass over those that they do not know."""

    model_config = ConfigDict(extra="allow")


class Written(Answer):
    """The account after a write, and the write's place in the log, good for `min_position`."""

    settled: Credits
    held: Credits
    owed: Credits
    available: Credits
    position: int
    partition: int


class UsedUnit(Answer):
    """How much of a unit was used: a decimal string."""

    unit: str
    count: str


class PricedLine(UsedUnit):
    """A part of a price, not rounded; `unit_price` is for one, or for `per` tokens of the model's price."""

    unit_price: str
    amount: str


class QuoteSlice(Answer):
    """What a quote would take of a lot."""

    lot: str
    amount: Credits
    source: str
    expires_at: Time | None


class Priced(Answer):
    """What an amount was worked out from. The lines are exact; their sum, marked up, raised to the minimum and rounded
    up once, is the amount."""

    version: int
    price: str | None = None
    model: str | None = None
    usage: list[UsedUnit]
    lines: list[PricedLine]
    markup_percent: str = "0"
    minimum: Credits = "0"
    price_list: str | None = None
    quote: str | None = None


class Quote(Answer):
    """What something costs, promised until `valid_until`; of a user, whether it is there, and in which lots."""

    id: str
    user: str | None
    asset: str
    amount: Credits
    price_version: int
    valid_until: Time
    affordable: bool | None
    available: Credits | None
    slices: list[QuoteSlice]
    lines: list[PricedLine]
    priced: Priced
    position: int
    partition: int


class Prices(Answer):
    """The prices in force: by operation and by model, each with the time of its next change."""

    app: str
    version: int
    config_version: int
    list: str | None
    time: Time
    next_change: Time | None
    quote_ttl_s: int
    operations: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]


class Grant(Written):
    """A grant that was made."""

    id: str
    amount: Credits
    source: str
    priority: int
    scope: list[str]
    effective_at: Time
    expires_at: Time | None


class Revocation(Written):
    """What a revoke took: now (`taken`), on release (`pending`), as a debt, or not at all (`absorbed`)."""

    id: str
    grant: str
    amount: Credits
    taken: Credits
    pending: Credits
    debt: Credits
    absorbed: Credits


class Charge(Written):
    """A charge that was made."""

    id: str
    amount: Credits
    service: str | None
    priced: Priced | None = None


class Refund(Written):
    """Credits of a charge given back; `refunded` is all that was ever given back of it."""

    id: str
    charge: str
    amount: Credits
    refunded: Credits


class Hold(Written):
    """An open hold."""

    id: str
    status: str
    amount: Credits
    captured: Credits
    expires_at: Time
    service: str | None = None
    grant: str | None = None
    added: Credits | None = None
    priced: Priced | None = None


class Capture(Written):
    """A capture: `charge` is the charge it made, `shortfall` what no credit covered and is owed."""

    id: str
    status: str
    charge: str
    amount: Credits
    captured: Credits
    shortfall: Credits
    priced: Priced | None = None


class Release(Written):
    """A hold that was let go."""

    id: str
    status: str
    released: Credits
    captured: Credits


class Adjustment(Written):
    """A correction; `amount` has its sign."""

    id: str
    amount: Credits


class ImportedOperation(Written):
    """What another system booked before; `amount` has its sign and moved nothing."""

    id: str
    kind: str
    amount: Credits
    occurred_at: Time


class Earning(Grant):
    """What an action earned."""

    action: str


class Threshold(Answer):
    """A level of `available`, and where it is armed again: in credits, or in per cent of the allowance."""

    below: Credits | None = None
    rearm_at: Credits | None = None
    below_percent: int | None = None
    rearm_percent: int | None = None


class Allowance(Answer):
    """The allowance of the period under way. `used` is what was spent since `last_reset`, of any credits.

    `status`: `active`; `lapsed`, because it is not paid for or the app has no such plan any more; `ended`, by the
    end of the plan: then what is left lasts to the period's end.
    """

    status: str
    limit: Credits
    carried: Credits
    left: Credits
    used: Credits
    last_reset: Time
    next_reset: Time | None
    period_start: Time
    period_end: Time
    anchor: Time | None
    paid_until: Time | None


class Plan(Written):
    """The account's plan and its allowance."""

    user: str
    plan: str | None
    allowance: Allowance | None


class Account(Written):
    """An account and its settings; `id` is the user, where something was done to it."""

    id: str | None = None
    user: str
    status: str
    zone: str | None
    overdraft: Credits
    freezes: list[str]
    price_list: str | None
    thresholds: list[Threshold]


class Side(Written):
    """One account of a transfer after it."""

    user: str


class Transfer(Answer):
    """A transfer: `pending` until the credit's outcome is committed, then `completed` or `returned`."""

    id: str
    status: str
    amount: Credits
    asset: str
    from_user: str
    to_user: str
    refusal: str | None = None
    accounts: list[Side] = []


class Result(Answer):
    """What became of one command of a batch: `body` below 400, else `problem`."""

    status: int
    replayed: bool
    body: dict[str, Any] | None = None
    problem: dict[str, Any] | None = None


class AccountAfter(Side):
    """An account after a batch."""

    asset: str


class Batch(Answer):
    """The results in the order of the commands, and the accounts that they changed, by user and asset."""

    results: list[Result]
    accounts: list[AccountAfter]


class Cost(Answer):
    """What credits cost their owner: minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


class LotOrigin(Answer):
    """What a lot was made of: another lot or a transfer, by its id."""

    kind: str
    id: str


class Lot(Answer):
    """What remains of a grant."""

    id: str
    status: str
    amount: Credits
    remaining: Credits
    held: Credits
    spent: Credits
    revoked: Credits
    breakage: Credits
    source: str
    priority: int
    scope: list[str]
    granted_at: Time
    effective_at: Time
    expires_at: Time | None
    cost_basis: Cost | None
    origin: LotOrigin | None


class HoldRecord(Answer):
    """A hold as it stands."""

    id: str
    user: str
    asset: str
    status: str
    amount: Credits
    captured: Credits
    remaining: Credits
    service: str | None
    grant: str | None
    reference: str | None
    member: str | None
    created_at: Time
    expires_at: Time
    limit_at: Time
    resolved_at: Time | None


class BudgetCount(Answer):
    """What a budget counts in the present period: spent and reserved (`used`), of it reserved (`held`), and left."""

    used: Credits
    held: Credits
    left: Credits
    period_start: Time
    period_end: Time | None


class MemberCount(BudgetCount):
    """What a budget of each member counts of one of them."""

    member: str


class Budget(Answer):
    """A budget and what it counts; one of each member (`*`) has `members` in place of `used`, `held` and `left`."""

    name: str
    member: str | None
    key: str | None
    period: str
    limit: Credits
    hard: bool
    used: Credits | None = None
    held: Credits | None = None
    left: Credits | None = None
    members: list[MemberCount] | None = None
    period_start: Time
    period_end: Time | None


class Budgets(Answer):
    """The budgets of an account."""

    user: str
    asset: str
    budgets: list[Budget]


class BudgetsSet(Written):
    """The budgets of an account after they were set."""

    user: str
    budgets: list[Budget]


class State(Written):
    """The one authoritative answer about an account, as of a position and a time."""

    user: str
    asset: str
    status: str
    zone: str | None
    price_list: str | None
    service: str | None
    overdraft: Credits
    overdraft_used: Credits
    freezes: list[str]
    total_granted: Credits
    total_spent: Credits
    lots: list[Lot]
    holds: list[HoldRecord]
    next_expiry: Time | None
    plan: str | None
    allowance: Allowance | None
    next_reset: Time | None
    budgets: list[Budget]
    account_version: int
    time: Time


class AccountRecord(Account):
    """An account as it stands."""

    plan: str | None
    allowance: Allowance | None
    asset: str
    opened_at: Time
    closed_at: Time | None
    account_version: int


class Thresholds(Answer):
    """The account's own thresholds, and those of its app."""

    user: str
    asset: str
    thresholds: list[Threshold]
    app: list[Threshold]


class ChargeRecord(Answer):
    """A charge as it stands, with the parts that it was taken from."""

    id: str
    user: str
    asset: str
    amount: Credits
    refunded: Credits
    service: str | None
    hold: str | None
    reference: str | None
    member: str | None
    time: Time
    parts: list[dict[str, Any]]
    priced: Priced | None = None


class Page(Answer):
    """One page of a list."""

    next_cursor: str | None
    has_more: bool


class Accounts(Page):
    """Accounts in the order of their users."""

    data: list[AccountRecord]


class Lots(Page):
    """Lots in order of their ids."""

    data: list[Lot]


class Holds(Page):
    """Holds in order of their ids."""

    data: list[HoldRecord]


class Imported(Answer):
    """What another system had booked, as it told it; it moved nothing here."""

    kind: str
    occurred_at: Time
    amount: Credits
    balance_after: Credits | None


class Transaction(Answer):
    """One event of an account; `amount` is what it did to `settled`, `before` and `after` are `settled` around it."""

    id: str
    type: str
    time: Time
    amount: Credits
    before: Credits
    after: Credits
    held_before: Credits
    held_after: Credits
    owed_before: Credits
    owed_after: Credits
    object: str | None
    reference: str | None
    member: str | None
    reason: str | None
    description: str | None
    metadata: dict[str, str] | None
    imported: Imported | None
    transaction: str
    account_version: int
    partition: int
    position: int
    priced: Priced | None = None


class Transactions(Page):
    """The journal of an account, the newest first."""

    data: list[Transaction]


class Event(Answer):
    """An event as it lies in the log."""

    id: str
    type: str
    time: Time
    user: str
    asset: str | None
    partition: int
    position: int
    account_version: int | None
    transaction: str
    command: str
    correlation: str
    actor: str
    payload: dict[str, Any]


class Events(Page):
    """Events of the app, the newest first."""

    data: list[Event]


class AssetStatistics(Answer):
    """Totals of one asset."""

    asset: str
    accounts: int
    settled: Credits
    held: Credits
    owed: Credits
    overdraft_used: Credits
    issued: dict[str, Credits]
    spent: Credits
    revoked: Credits
    breakage: Credits


class Statistics(Answer):
    """Totals of the app."""

    app: str
    time: Time
    assets: list[AssetStatistics]


class FeedStream(Answer):
    """An incarnation of the log; `forked_at` is the last `seq` that it shares with the one before."""

    stream: str
    forked_at: int


class Feed(Answer):
    """A part of one partition of the log; `events` are CloudEvents in their JSON format."""

    source: str
    topic: str
    partition: int
    stream: str
    head: int
    streams: list[FeedStream]
    events: list[dict[str, Any]]


class BalancesThen(Answer):
    """An account's balances when a command was refused."""

    asset: str
    settled: Credits
    held: Credits
    owed: Credits
    available: Credits


class Outcome(Answer):
    """What became of a command: the status and the body that answered it; `accounts` is there for a refusal."""

    key: str
    user: str
    caller: str
    type: str
    status: int
    body: dict[str, Any]
    partition: int
    position: int
    time: Time
    accounts: list[BalancesThen] = []


class Config(Answer):
    """The app's configuration; the header ETag has the version for `If-Match`."""

    app: str
    version: int
    config: dict[str, Any]


class Change(Answer):
    """One difference between two configurations."""

    path: str
    before: Any
    after: Any


class Difference(Answer):
    """What applying a configuration would change."""

    app: str
    version: int
    changes: list[Change]
