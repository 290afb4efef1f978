"""What the ledger tells: one model for each of its events, with the fields of the stored payload.

A field that has its default is not in the payload. Amounts are decimal strings at the full scale of the asset, times
RFC 3339 in UTC with microseconds. The time of an event itself is in its envelope.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict

from libs.events.contracts.base import Event, contract
from libs.events.contracts.ledger.fields import Credits, RevokePolicy, Source, Time


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Balances(_Part):
    """The stored balances of an account. What is available follows from its lots and is never stored."""

    settled: Credits
    held: Credits
    owed: Credits


class SliceOf(_Part):
    """A part of a lot that was moved."""

    lot: str
    amount: Credits


class Returned(_Part):
    """How reserved slices ended: free again, expired on the way (`broken`), or taken by a revoke (`reclaimed`)."""

    slices: tuple[SliceOf, ...] = ()
    broken: tuple[SliceOf, ...] = ()
    reclaimed: tuple[SliceOf, ...] = ()


class CostBasisOf(_Part):
    """What credits cost their owner: minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


class OriginOf(_Part):
    """What a lot came from when it was not granted as such: a refund, a transfer, an adjustment."""

    kind: str
    id: str


class NewLot(_Part):
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


class MovedLot(_Part):
    """A slice that left by a transfer, with the terms that it keeps on the other side."""

    lot: str
    amount: Credits
    source: Source
    priority: int
    expires_at: Time | None = None
    scope: tuple[str, ...] = ()
    cost_basis: CostBasisOf | None = None


class ThresholdOf(_Part):
    """One entry of an account's own list of thresholds."""

    level: Credits
    rearm_at: Credits


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


@contract("ledger.account_opened.v1")
class AccountOpened(AccountEvent):
    """An account was heard of for the first time."""

    scale: int


@contract("ledger.credits_granted.v1")
class CreditsGranted(AccountEvent):
    """A lot was made; by an earning rule if `action` is there."""

    lot: NewLot
    action: str | None = None
    earned_as: str | None = None


@contract("ledger.grant_revoked.v1")
class GrantRevoked(AccountEvent):
    """A grant was taken back: `taken` now, `pending` when its hold ends, `debt` is owed, `absorbed` is let go."""

    revoke: str
    grant: str
    source: Source
    amount: Credits
    policy: RevokePolicy
    taken: Credits
    pending: Credits = "0"
    debt: Credits = "0"
    absorbed: Credits = "0"
    hold: str | None = None
    scheduled: bool = False


@contract("ledger.credits_charged.v1")
class CreditsCharged(AccountEvent):
    """Credits were spent: `slices` of lots, then the overdraft."""

    charge: str
    amount: Credits
    slices: tuple[SliceOf, ...]
    overdraft: Credits = "0"
    service: str | None = None


@contract("ledger.charge_refunded.v1")
class ChargeRefunded(AccountEvent):
    """Credits of a charge came back: into their lots, as new `lots` where those are dead, or against a debt."""

    refund: str
    charge: str
    amount: Credits
    refunded_total: Credits
    slices: tuple[SliceOf, ...] = ()
    lots: tuple[NewLot, ...] = ()
    overdraft: Credits = "0"
    owed: Credits = "0"


@contract("ledger.hold_created.v1")
class HoldCreated(AccountEvent):
    """Credits were reserved until `expires_at`, which can be extended to `limit_at`."""

    hold: str
    amount: Credits
    slices: tuple[SliceOf, ...]
    expires_at: Time
    limit_at: Time
    service: str | None = None
    grant: str | None = None


@contract("ledger.hold_extended.v1")
class HoldExtended(AccountEvent):
    """A hold lasts longer."""

    hold: str
    expires_at: Time


@contract("ledger.hold_captured.v1")
class HoldCaptured(AccountEvent):
    """Reserved credits were spent. `excess`, `overdraft` and `shortfall` are what the hold itself did not cover."""

    hold: str
    charge: str
    amount: Credits
    slices: tuple[SliceOf, ...] = ()
    excess: tuple[SliceOf, ...] = ()
    overdraft: Credits = "0"
    shortfall: Credits = "0"
    captured_total: Credits
    final: bool = True
    released: Returned | None = None
    service: str | None = None


@contract("ledger.hold_released.v1")
class HoldReleased(AccountEvent):
    """A hold was let go: by a command (`released`), or together with its grant (`revoked`)."""

    hold: str
    amount: Credits
    captured_total: Credits
    released: Returned
    cause: str = "released"


@contract("ledger.hold_expired.v1")
class HoldExpired(AccountEvent):
    """A hold reached its limit at `due_at`."""

    hold: str
    amount: Credits
    captured_total: Credits
    released: Returned
    due_at: Time


@contract("ledger.lot_expired.v1")
class LotExpired(AccountEvent):
    """A lot reached its end at `due_at`; `amount` was free and is lost."""

    grant: str
    amount: Credits
    due_at: Time


@contract("ledger.owed_recorded.v1")
class OwedRecorded(AccountEvent):
    """What a capture or a revoke (`cause`) could not take is owed; `against` is the other side's system account."""

    amount: Credits
    cause: str
    against: str


@contract("ledger.owed_repaid.v1")
class OwedRepaid(AccountEvent):
    """New credits repaid what was owed."""

    amount: Credits
    slices: tuple[SliceOf, ...]


@contract("ledger.account_changed.v1")
class AccountChanged(AccountEvent):
    """What was set (only what changed is present), or the lot whose start has come."""

    zone: str | None = None
    overdraft_limit: Credits | None = None
    thresholds: tuple[ThresholdOf, ...] | None = None
    erased: bool = False
    started: SliceOf | None = None
    overdraft_repaid: Credits = "0"
    due_at: Time | None = None


@contract("ledger.transfer_debited.v1")
class TransferDebited(AccountEvent):
    """Credits left for another account."""

    transfer: str
    to_user: str
    amount: Credits
    slices: tuple[MovedLot, ...]


@contract("ledger.transfer_credited.v1")
class TransferCredited(AccountEvent):
    """Credits arrived from another account."""

    transfer: str
    from_user: str
    amount: Credits
    lots: tuple[NewLot, ...]


@contract("ledger.transfer_returned.v1")
class TransferReturned(AccountEvent):
    """Credits came back, because the other account refused them with `refusal`."""

    transfer: str
    to_user: str
    amount: Credits
    refusal: str
    slices: tuple[SliceOf, ...] = ()
    lots: tuple[NewLot, ...] = ()


@contract("ledger.balance_adjusted.v1")
class BalanceAdjusted(AccountEvent):
    """A balance was corrected by hand: up by a lot, down by slices; `amount` is signed."""

    adjustment: str
    amount: Credits
    lot: NewLot | None = None
    slices: tuple[SliceOf, ...] = ()


@contract("ledger.account_frozen.v1")
class AccountFrozen(AccountEvent):
    """A freeze was put on the account."""

    name: str


@contract("ledger.account_unfrozen.v1")
class AccountUnfrozen(AccountEvent):
    """A freeze was lifted; the account stays frozen while another stands."""

    name: str


@contract("ledger.account_closed.v1")
class AccountClosed(AccountEvent):
    """The account was ended."""


@contract("ledger.threshold_crossed.v1")
class ThresholdCrossed(AccountEvent):
    """`available` fell below `threshold`; `generation` counts how often it was armed."""

    threshold: Credits
    generation: int
    available: Credits


@contract("ledger.operation_imported.v1")
class OperationImported(AccountEvent):
    """Another system had booked this before the ledger kept the account: history, which moves nothing.

    `amount` is signed, `balance_after` as that system told it; `earned_as` is what counts as earned already.
    """

    operation: str
    kind: str
    occurred_at: Time
    amount: Credits
    balance_after: Credits | None = None
    earned_as: str | None = None


class AppEvent(Event):
    """An event of the app itself, in the name of `@app`: it opens no account and carries no balances."""


@contract("ledger.config_applied.v1")
class ConfigApplied(AppEvent):
    """A version of the app's configuration came into force; `document` is canonical JSON text."""

    version: int
    document: str


@contract("ledger.command_refused.v1")
class CommandRefused(AppEvent):
    """A command that came by Kafka was refused; `command` is its id, `user` whom it concerned."""

    command: str
    command_type: str
    status: int
    code: str
    detail: str
    user: str | None = None


@contract("ledger.command_repeated.v1")
class CommandRepeated(AppEvent):
    """A command that was done before under another id, by its idempotency key or its `unique_ref`: nothing happened.

    `first` is the object that the earlier one made.
    """

    command: str
    command_type: str
    first: str
    user: str | None = None
