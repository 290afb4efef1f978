"""What brings credits in and takes them out: grants, revokes, charges, refunds, expiries, debts, adjustments."""

from __future__ import annotations

from dataclasses import dataclass

from services.ledger.domain.events.parts import (
    ZERO,
    AccountEvent,
    BudgetUse,
    EarnedTimes,
    EarnedUnder,
    NewLot,
    Priced,
    SliceOf,
    Time,
    Units,
)
from services.ledger.domain.state import RevokePolicy, Source


@dataclass(slots=True, kw_only=True)
class CreditsGranted(AccountEvent):
    lot: NewLot
    action: str | None = None
    earned_as: str | None = None
    """What the earning rule remembers: its group, or the action itself."""

    earned_times: EarnedTimes | None = None
    """Of a rule that earns anew in each period."""

    earned_under: tuple[EarnedUnder, ...] = ()
    """The app's caps that this counts for."""


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
    pending: Units = ZERO
    debt: Units = ZERO
    absorbed: Units = ZERO
    hold: str | None = None
    scheduled: bool = False


@dataclass(slots=True, kw_only=True)
class CreditsCharged(AccountEvent):
    charge: str
    amount: Units
    slices: tuple[SliceOf, ...]
    overdraft: Units = ZERO
    service: str | None = None
    budgets: tuple[BudgetUse, ...] = ()
    priced: Priced | None = None


@dataclass(slots=True, kw_only=True)
class ChargeRefunded(AccountEvent):
    refund: str
    charge: str
    amount: Units
    refunded_total: Units
    slices: tuple[SliceOf, ...] = ()
    lots: tuple[NewLot, ...] = ()
    overdraft: Units = ZERO
    owed: Units = ZERO
    budgets: tuple[BudgetUse, ...] = ()


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
class BalanceAdjusted(AccountEvent):
    """Up by a lot, or down by slices; `amount` is signed."""

    adjustment: str
    amount: Units
    lot: NewLot | None = None
    slices: tuple[SliceOf, ...] = ()
