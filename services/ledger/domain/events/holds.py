"""Holds: what is reserved, and how it ended."""

from __future__ import annotations

from dataclasses import dataclass

from services.ledger.domain.events.parts import ZERO, AccountEvent, BudgetUse, Priced, Returned, SliceOf, Time, Units


@dataclass(slots=True, kw_only=True)
class HoldCreated(AccountEvent):
    hold: str
    amount: Units
    slices: tuple[SliceOf, ...]
    expires_at: Time
    limit_at: Time
    service: str | None = None
    grant: str | None = None
    budgets: tuple[BudgetUse, ...] = ()
    priced: Priced | None = None


@dataclass(slots=True, kw_only=True)
class HoldExtended(AccountEvent):
    """`amount` is what the hold pins more than before, out of `slices`."""

    hold: str
    expires_at: Time
    budgets: tuple[BudgetUse, ...] = ()
    amount: Units = ZERO
    slices: tuple[SliceOf, ...] = ()
    priced: Priced | None = None


@dataclass(slots=True, kw_only=True)
class HoldCaptured(AccountEvent):
    """`amount` is the whole charge: `slices` of the hold, `excess` from the free balance, `overdraft`, and
    `shortfall`, which the `owed_recorded` that follows books."""

    hold: str
    charge: str
    amount: Units
    slices: tuple[SliceOf, ...] = ()
    excess: tuple[SliceOf, ...] = ()
    overdraft: Units = ZERO
    shortfall: Units = ZERO
    captured_total: Units
    final: bool = True
    released: Returned | None = None
    service: str | None = None
    budgets: tuple[BudgetUse, ...] = ()
    priced: Priced | None = None


@dataclass(slots=True, kw_only=True)
class HoldReleased(AccountEvent):
    hold: str
    amount: Units
    captured_total: Units
    released: Returned
    cause: str = "released"
    """`released` by a command, or `revoked` together with its grant."""

    budgets: tuple[BudgetUse, ...] = ()


@dataclass(slots=True, kw_only=True)
class HoldExpired(AccountEvent):
    hold: str
    amount: Units
    captured_total: Units
    released: Returned
    due_at: Time
    budgets: tuple[BudgetUse, ...] = ()
