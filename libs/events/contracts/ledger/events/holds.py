"""Holds: what is reserved, and how it ended."""

from __future__ import annotations

from libs.events.contracts.base import contract
from libs.events.contracts.ledger.events.parts import AccountEvent, BudgetUse, Priced, Returned, SliceOf
from libs.events.contracts.ledger.fields import Credits, Time


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
    budgets: tuple[BudgetUse, ...] = ()
    priced: Priced | None = None


@contract("ledger.hold_extended.v1")
class HoldExtended(AccountEvent):
    """A hold lasts longer, or reserves `amount` more."""

    hold: str
    expires_at: Time
    budgets: tuple[BudgetUse, ...] = ()
    amount: Credits = "0"
    slices: tuple[SliceOf, ...] = ()
    priced: Priced | None = None


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
    budgets: tuple[BudgetUse, ...] = ()
    priced: Priced | None = None


@contract("ledger.hold_released.v1")
class HoldReleased(AccountEvent):
    """A hold was let go: by a command (`released`), or together with its grant (`revoked`)."""

    hold: str
    amount: Credits
    captured_total: Credits
    released: Returned
    cause: str = "released"
    budgets: tuple[BudgetUse, ...] = ()


@contract("ledger.hold_expired.v1")
class HoldExpired(AccountEvent):
    """A hold reached its limit at `due_at`."""

    hold: str
    amount: Credits
    captured_total: Credits
    released: Returned
    due_at: Time
    budgets: tuple[BudgetUse, ...] = ()
