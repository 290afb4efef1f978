"""What the ledger tells: one model for each of its events, with the fields of the stored payload.

A field that has its default is not in the payload. Amounts are decimal strings at the full scale of the asset, times
RFC 3339 in UTC with microseconds. The time of an event itself is in its envelope.
"""

from __future__ import annotations

from libs.events.contracts.ledger.events.accounts import (
    AccountChanged,
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    OperationImported,
    ThresholdCrossed,
)
from libs.events.contracts.ledger.events.allowances import AllowanceReset, PlanAssigned
from libs.events.contracts.ledger.events.app import CommandRefused, CommandRepeated, ConfigApplied, ResetCompleted
from libs.events.contracts.ledger.events.balances import (
    BalanceAdjusted,
    ChargeRefunded,
    CreditsCharged,
    CreditsGranted,
    GrantRevoked,
    LotExpired,
    OwedRecorded,
    OwedRepaid,
)
from libs.events.contracts.ledger.events.budgets import BudgetExceeded, BudgetSet
from libs.events.contracts.ledger.events.holds import HoldCaptured, HoldCreated, HoldExpired, HoldExtended, HoldReleased
from libs.events.contracts.ledger.events.parts import (
    AccountEvent,
    AppEvent,
    Balances,
    BudgetOf,
    BudgetUse,
    CostBasisOf,
    EarnedTimes,
    EarnedUnder,
    MovedLot,
    NewLot,
    OriginOf,
    Returned,
    SliceOf,
    ThresholdOf,
)
from libs.events.contracts.ledger.events.transfers import TransferCredited, TransferDebited, TransferReturned

__all__ = [
    "AccountChanged",
    "AccountClosed",
    "AccountEvent",
    "AccountFrozen",
    "AccountOpened",
    "AccountUnfrozen",
    "AllowanceReset",
    "AppEvent",
    "BalanceAdjusted",
    "Balances",
    "BudgetExceeded",
    "BudgetOf",
    "BudgetSet",
    "BudgetUse",
    "ChargeRefunded",
    "CommandRefused",
    "CommandRepeated",
    "ConfigApplied",
    "CostBasisOf",
    "CreditsCharged",
    "CreditsGranted",
    "EarnedTimes",
    "EarnedUnder",
    "GrantRevoked",
    "HoldCaptured",
    "HoldCreated",
    "HoldExpired",
    "HoldExtended",
    "HoldReleased",
    "LotExpired",
    "MovedLot",
    "NewLot",
    "OperationImported",
    "OriginOf",
    "OwedRecorded",
    "OwedRepaid",
    "PlanAssigned",
    "ResetCompleted",
    "Returned",
    "SliceOf",
    "ThresholdCrossed",
    "ThresholdOf",
    "TransferCredited",
    "TransferDebited",
    "TransferReturned",
]
