"""What the ledger answers, as frozen dataclasses.

Credits are `Decimal`, times aware UTC `datetime`s. Every answer keeps the JSON object it was read from in `raw`, so
that a field which a newer ledger sends can be read before this library names it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Anything read from the ledger; `raw` is the JSON object as it came."""

    raw: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Balances(Answer):
    """An account's credits as of `position` in its `partition`: pass both as `min_position` to read your own write.

    `settled` what is there, `held` the part that holds pin, `owed` what a claw-back could not take, `available`
    what can be spent.
    """

    settled: Decimal
    held: Decimal
    owed: Decimal
    available: Decimal
    position: int
    partition: int
    user: str | None = None
    asset: str | None = None
    account_version: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Written(Balances):
    """The answer to a write. `replayed` says that this key was answered before, and this is that first answer."""

    replayed: bool = False
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Written):
    """Credits given; what remains of them is the lot of the same id."""

    id: str
    amount: Decimal
    source: str | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation(Written):
    """A grant taken back: `taken` now, `pending` once holds let go, `debt` is owed now, `absorbed` is let go.

    `id` names the revoke.
    """

    id: str
    amount: Decimal | None = None
    taken: Decimal | None = None
    pending: Decimal | None = None
    debt: Decimal | None = None
    absorbed: Decimal | None = None
    grant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Written):
    """Credits spent."""

    id: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRecord(Answer):
    """A charge as it stands now, with what was refunded of it."""

    id: str
    amount: Decimal
    user: str | None = None
    asset: str | None = None
    refunded: Decimal | None = None
    hold: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Written):
    """Credits given back to where a charge took them from; `refunded` is all that was ever given back of it."""

    id: str
    amount: Decimal
    charge: str | None = None
    refunded: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Written):
    """Credits set aside, and after an extension or a release the same hold again, with what was `released`."""

    id: str
    captured: Decimal
    amount: Decimal | None = None
    released: Decimal | None = None
    status: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Hold):
    """A hold after a capture: `amount` was captured now, `captured` in all.

    `charge` is the charge that it made, refundable as such; `shortfall` is the part that no credit covered.
    """

    charge: str
    shortfall: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRecord(Answer):
    """A hold as it stands now."""

    id: str
    amount: Decimal
    user: str | None = None
    asset: str | None = None
    captured: Decimal | None = None
    status: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Answer):
    """Credits moved between two accounts of an app, `accounts` being both afterwards.

    `status` is `pending` while the credit's outcome is not committed (`client.wait(transfer.id)`), then `completed`,
    or `returned` when the other side refused it, `refusal` being why.
    """

    id: str
    status: str = "completed"
    amount: Decimal | None = None
    from_user: str | None = None
    to_user: str | None = None
    refusal: str | None = None
    accounts: tuple[Balances, ...] = ()
    replayed: bool = False
    idempotency_key: str | None = None

    @property
    def pending(self) -> bool:
        """Whether it is still on its way, forth or back."""
        return self.status not in {"completed", "returned"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment(Written):
    """A correction by hand; `amount` has its sign."""

    id: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning(Written):
    """What an action earned: a grant."""

    id: str
    amount: Decimal
    action: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Lot(Answer):
    """What remains of a grant."""

    id: str
    amount: Decimal
    remaining: Decimal
    held: Decimal | None = None
    source: str | None = None
    priority: int | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None
    scope: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Balances):
    """The one authoritative answer about an account at one position and time.

    `total_granted` and `total_spent` are all that was ever given, and spent without what was refunded.
    """

    total_granted: Decimal | None = None
    total_spent: Decimal | None = None
    lots: tuple[Lot, ...] = ()
    next_expiry: datetime | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold(Answer):
    """An alert when available falls `below` this, armed again at `rearm_at` (the same, when left out)."""

    below: Decimal
    rearm_at: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account(Answer):
    """An account and its settings."""

    user: str
    asset: str | None = None
    status: str | None = None
    zone: str | None = None
    overdraft: Decimal | None = None
    settled: Decimal | None = None
    held: Decimal | None = None
    owed: Decimal | None = None
    available: Decimal | None = None
    position: int | None = None
    partition: int | None = None
    freezes: tuple[str, ...] = ()
    thresholds: tuple[Threshold, ...] = ()
    opened_at: datetime | None = None
    replayed: bool = False
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget(Answer):
    """At most `limit` credits a `period` (`day`, `week`, `month`, `lifetime`).

    It counts what the `member` of a team or the API `key` spends, or without either the whole account. A `hard` one
    refuses, a soft one tells. The member `*` stands for each member by itself. When read, `used` was spent and `held`
    is held since `period_start`, and `left` is left until `period_end`.
    """

    period: str
    limit: Decimal
    hard: bool = True
    name: str | None = None
    member: str | None = None
    key: str | None = None
    used: Decimal | None = None
    held: Decimal | None = None
    left: Decimal | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets(Answer):
    """The budgets of an account."""

    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetsSet(Written):
    """The budgets of an account after they were set."""

    budgets: tuple[Budget, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Allowance(Answer):
    """What a plan gives in the present period: `limit`, of it `used` and `left`, and `carried` from earlier ones."""

    limit: Decimal
    left: Decimal
    used: Decimal | None = None
    carried: Decimal | None = None
    status: str | None = None
    last_reset: datetime | None = None
    next_reset: datetime | None = None
    period_start: datetime | None = None
    period_end: datetime | None = None
    anchor: datetime | None = None
    paid_until: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountPlan(Written):
    """An account's plan and its allowance; both None without a plan."""

    plan: str | None = None
    allowance: Allowance | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteLine(Answer):
    """One unit of a quote: `count` of it, at `unit_price` each."""

    unit: str | None = None
    count: Decimal | None = None
    unit_price: Decimal | None = None
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSlice(Answer):
    """Credits that a quote would take from one lot."""

    lot: str
    amount: Decimal
    source: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote(Answer):
    """What something costs by `price_version`, for a charge or a hold that names it before `valid_until`.

    With a user, `affordable` says whether `available` covers it, and `slices` which lots it would come from.
    """

    id: str
    amount: Decimal
    price_version: int | None = None
    valid_until: datetime | None = None
    affordable: bool | None = None
    available: Decimal | None = None
    slices: tuple[QuoteSlice, ...] = ()
    lines: tuple[QuoteLine, ...] = ()
    replayed: bool = False
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices(Answer):
    """The price book in force: the prices of `operations` and `models` by name, as the app's file has them."""

    version: int | None = None
    operations: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)
    next_change: datetime | None = None
    quote_ttl_s: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation(Answer):
    """Why a balance is what it is, or why a charge cost what it did; in `raw`, as the ledger tells it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transaction(Answer):
    """One line of an account's journal; `amount` has its sign, `before` and `after` are the balance around it."""

    id: str
    type: str
    amount: Decimal
    before: Decimal | None = None
    after: Decimal | None = None
    time: datetime | None = None
    user: str | None = None
    asset: str | None = None
    reference: str | None = None
    reason: str | None = None
    description: str | None = None
    member: str | None = None
    metadata: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandOutcome(Answer):
    """What became of a write, asked by its key: the HTTP `status` and `body` that answered it first."""

    status: int
    body: Mapping[str, Any]
    key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Statistics(Answer):
    """Totals of the app; the figures are in `raw`, under the ledger's own names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Event(Answer):
    """One event of the log; `payload` is as stored."""

    id: str
    type: str
    partition: int | None = None
    position: int | None = None
    user: str | None = None
    time: datetime | None = None
    payload: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedMessage(Answer):
    """One published message, a CloudEvent; `prevseq` is the message before it in the same partition."""

    id: str
    type: str
    seq: int
    prevseq: int | None = None
    time: datetime | None = None
    subject: str | None = None
    data: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed(Answer):
    """Messages of one partition in order; `stream` is the log's present incarnation, `head` its last `seq`."""

    stream: str
    head: int
    events: tuple[FeedMessage, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Answer):
    """An app's configuration: `version` counts its changes, `etag` goes into `if_match` of the next."""

    config: Mapping[str, Any]
    version: int | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChange(Answer):
    """What applying a configuration would change; in `raw`, as the ledger shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResult(Answer):
    """What became of one command of a batch: the HTTP `status` it would have had alone, and its `body` or `problem`."""

    status: int
    body: Mapping[str, Any] | None = None
    problem: Mapping[str, Any] | None = None
    replayed: bool = False

    @property
    def ok(self) -> bool:
        """Whether it was done."""
        return self.status < 400


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchResults(Answer):
    """What became of each command of a batch, in order, and the accounts that they changed."""

    results: tuple[BatchResult, ...] = ()
    accounts: tuple[Balances, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether all were done."""
        return all(result.ok for result in self.results)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `next_cursor` fetches the next when `has_more`."""

    data: tuple[T, ...]
    next_cursor: str | None = None
    has_more: bool = False

    def __iter__(self) -> Iterator[T]:
        return iter(self.data)

    def __len__(self) -> int:
        return len(self.data)
