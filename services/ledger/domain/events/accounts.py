"""What is set about an account, and what is noted of it."""

from __future__ import annotations

from dataclasses import dataclass

from services.ledger.domain.events.parts import ZERO, AccountEvent, SliceOf, ThresholdOf, Time, Units


@dataclass(slots=True, kw_only=True)
class AccountOpened(AccountEvent):
    scale: int


@dataclass(slots=True, kw_only=True)
class AccountChanged(AccountEvent):
    """What was set (only what changed is present), or the lot whose start has come."""

    zone: str | None = None
    overdraft_limit: Units | None = None
    thresholds: tuple[ThresholdOf, ...] | None = None
    erased: bool = False
    started: SliceOf | None = None
    overdraft_repaid: Units = ZERO
    due_at: Time | None = None
    price_list: str | None = None
    """The account's list of prices from now on; empty: the ordinary prices."""


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
    """`threshold` is the level that was crossed; `percent` says of how much of the allowance it was."""

    threshold: Units
    generation: int
    available: Units
    percent: int | None = None


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
