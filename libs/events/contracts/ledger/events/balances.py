"""What brings credits in and takes them out: grants, revokes, charges, refunds, expiries, debts, adjustments."""

from __future__ import annotations

from libs.events.contracts.base import contract
from libs.events.contracts.ledger.events.parts import (
    AccountEvent,
    BudgetUse,
    EarnedTimes,
    EarnedUnder,
    NewLot,
    Priced,
    SliceOf,
)
from libs.events.contracts.ledger.fields import Credits, RevokePolicy, Source, Time


@contract("ledger.credits_granted.v1")
class CreditsGranted(AccountEvent):
    """A lot was made; by an earning rule if `action` is there."""

    lot: NewLot
    action: str | None = None
    earned_as: str | None = None
    earned_times: EarnedTimes | None = None
    earned_under: tuple[EarnedUnder, ...] = ()


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
    budgets: tuple[BudgetUse, ...] = ()
    priced: Priced | None = None


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
    budgets: tuple[BudgetUse, ...] = ()


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


@contract("ledger.balance_adjusted.v1")
class BalanceAdjusted(AccountEvent):
    """A balance was corrected by hand: up by a lot, down by slices; `amount` is signed."""

    adjustment: str
    amount: Credits
    lot: NewLot | None = None
    slices: tuple[SliceOf, ...] = ()
