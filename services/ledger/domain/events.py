"""The ledger's events as the domain handles them: outcomes, never intentions.

`evolve` and `postings` read these and nothing else. Amounts are `Units` (integers), times are `Time` (microseconds
since the epoch); `codec` turns both into the strings of the stored payload. The published shapes are the models of
`libs.events.contracts.ledger`; a test holds the two together.

An event's type is its class name in snake case: `CreditsGranted` is `ledger.credits_granted.v1`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NewType

from services.ledger.domain.state import CostBasis, Origin, RevokePolicy, Source

Units = NewType("Units", int)
Time = NewType("Time", int)


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
    """One entry of an account's own list of thresholds."""

    level: Units
    rearm_at: Units


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
class AccountOpened(AccountEvent):
    scale: int


@dataclass(slots=True, kw_only=True)
class CreditsGranted(AccountEvent):
    lot: NewLot
    action: str | None = None
    earned_as: str | None = None
    """What the earning rule remembers: its group, or the action itself."""


@dataclass(slots=True, kw_only=True)
class GrantRevoked(AccountEvent):
    """`taken` left the lot now, `pending` leaves it when its hold releases it, `debt` was spent and is owed,
    `absorbed` was spent or had expired and is let go."""

    revoke: str
    grant: str
    source: Source
    amount: Units
    policy: RevokePolicy
    taken: Units
    pending: Units = Units(0)
    debt: Units = Units(0)
    absorbed: Units = Units(0)
    hold: str | None = None
    scheduled: bool = False


@dataclass(slots=True, kw_only=True)
class CreditsCharged(AccountEvent):
    charge: str
    amount: Units
    slices: tuple[SliceOf, ...]
    overdraft: Units = Units(0)
    service: str | None = None


@dataclass(slots=True, kw_only=True)
class ChargeRefunded(AccountEvent):
    refund: str
    charge: str
    amount: Units
    refunded_total: Units
    slices: tuple[SliceOf, ...] = ()
    lots: tuple[NewLot, ...] = ()
    overdraft: Units = Units(0)
    owed: Units = Units(0)


@dataclass(slots=True, kw_only=True)
class HoldCreated(AccountEvent):
    hold: str
    amount: Units
    slices: tuple[SliceOf, ...]
    expires_at: Time
    limit_at: Time
    service: str | None = None
    grant: str | None = None


@dataclass(slots=True, kw_only=True)
class HoldExtended(AccountEvent):
    hold: str
    expires_at: Time


@dataclass(slots=True, kw_only=True)
class HoldCaptured(AccountEvent):
    """`amount` is the whole charge: `slices` of the hold, `excess` from the free balance, `overdraft`, and
    `shortfall`, which the `owed_recorded` that follows books."""

    hold: str
    charge: str
    amount: Units
    slices: tuple[SliceOf, ...] = ()
    excess: tuple[SliceOf, ...] = ()
    overdraft: Units = Units(0)
    shortfall: Units = Units(0)
    captured_total: Units
    final: bool = True
    released: Returned | None = None
    service: str | None = None


@dataclass(slots=True, kw_only=True)
class HoldReleased(AccountEvent):
    hold: str
    amount: Units
    captured_total: Units
    released: Returned
    cause: str = "released"
    """`released` by a command, or `revoked` together with its grant."""


@dataclass(slots=True, kw_only=True)
class HoldExpired(AccountEvent):
    hold: str
    amount: Units
    captured_total: Units
    released: Returned
    due_at: Time


@dataclass(slots=True, kw_only=True)
class LotExpired(AccountEvent):
    """`amount` is the free part, which is breakage now; the pinned part stays capturable until its holds end."""

    grant: str
    amount: Units
    due_at: Time


@dataclass(slots=True, kw_only=True)
class OwedRecorded(AccountEvent):
    """What could not be taken: by a capture (`cause` charge id) or by a revoke (revoke id)."""

    amount: Units
    cause: str
    against: str
    """The system account on the other side: `@revenue`, or `@issued/revoked`."""


@dataclass(slots=True, kw_only=True)
class OwedRepaid(AccountEvent):
    amount: Units
    slices: tuple[SliceOf, ...]


@dataclass(slots=True, kw_only=True)
class AccountChanged(AccountEvent):
    """What was set (only what changed is present), or the lot whose start has come."""

    zone: str | None = None
    overdraft_limit: Units | None = None
    thresholds: tuple[ThresholdOf, ...] | None = None
    erased: bool = False
    started: SliceOf | None = None
    overdraft_repaid: Units = Units(0)
    due_at: Time | None = None


@dataclass(slots=True, kw_only=True)
class TransferDebited(AccountEvent):
    transfer: str
    to_user: str
    amount: Units
    slices: tuple[MovedLot, ...]


@dataclass(slots=True, kw_only=True)
class TransferCredited(AccountEvent):
    transfer: str
    from_user: str
    amount: Units
    lots: tuple[NewLot, ...]


@dataclass(slots=True, kw_only=True)
class TransferReturned(AccountEvent):
    """The debit undone, because the other side refused the credit with `refusal`."""

    transfer: str
    to_user: str
    amount: Units
    refusal: str
    slices: tuple[SliceOf, ...] = ()
    lots: tuple[NewLot, ...] = ()


@dataclass(slots=True, kw_only=True)
class BalanceAdjusted(AccountEvent):
    """Up by a lot, or down by slices; `amount` is signed."""

    adjustment: str
    amount: Units
    lot: NewLot | None = None
    slices: tuple[SliceOf, ...] = ()


@dataclass(slots=True, kw_only=True)
class AccountFrozen(AccountEvent):
    name: str


@dataclass(slots=True, kw_only=True)
class AccountUnfrozen(AccountEvent):
    name: str


@dataclass(slots=True, kw_only=True)
class AccountClosed(AccountEvent):
    pass


@dataclass(slots=True, kw_only=True)
class ThresholdCrossed(AccountEvent):
    threshold: Units
    generation: int
    available: Units


@dataclass(slots=True, kw_only=True)
class OperationImported(AccountEvent):
    """What another system had booked before this ledger kept the account: history that moves nothing here.

    `amount` is signed, `balance_after` as that system told it. `earned_as` is remembered as earned already.
    """

    operation: str
    kind: str
    occurred_at: Time
    amount: Units
    balance_after: Units | None = None
    earned_as: str | None = None


@dataclass(slots=True, kw_only=True)
class AppEvent:
    """An event of the app itself, in the name of `@app`: it opens no account and carries no balances."""

    at: int = 0


@dataclass(slots=True, kw_only=True)
class ConfigApplied(AppEvent):
    """`document` is the ledger's part of the app file as canonical JSON text."""

    version: int
    document: str


@dataclass(slots=True, kw_only=True)
class CommandRefused(AppEvent):
    """A command that came by Kafka and was refused; `command` is its id, `user` whom it concerned."""

    command: str
    command_type: str
    status: int
    code: str
    detail: str
    user: str | None = None


@dataclass(slots=True, kw_only=True)
class CommandRepeated(AppEvent):
    """A command whose `unique_ref` was taken under another key: `first` is the object that the earlier one made."""

    command: str
    command_type: str
    first: str
    user: str | None = None


Event = AccountEvent | AppEvent
