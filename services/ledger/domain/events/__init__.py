"""The ledger's events as the domain handles them: outcomes, never intentions.

`evolve` and `postings` read these and nothing else. Amounts are `Units` (integers), times are `Time` (microseconds
since the epoch); `codec` turns both into the strings of the stored payload. The published shapes are the models of
`libs.events.contracts.ledger`; a test holds the two together.

An event's type is its class name in snake case: `CreditsGranted` is `ledger.credits_granted.v1`.
"""

from __future__ import annotations

from services.ledger.domain.events.accounts import (
    AccountChanged,
    AccountClosed,
    AccountFrozen,
    AccountOpened,
    AccountUnfrozen,
    OperationImported,
    ThresholdCrossed,
)
from services.ledger.domain.events.allowances import AllowanceReset, PlanAssigned, ResetCause
from services.ledger.domain.events.app import CommandRefused, CommandRepeated, ConfigApplied, ResetCompleted
from services.ledger.domain.events.balances import (
    BalanceAdjusted,
    ChargeRefunded,
    CreditsCharged,
    CreditsGranted,
    GrantRevoked,
    LotExpired,
    OwedRecorded,
    OwedRepaid,
)
from services.ledger.domain.events.budgets import BudgetExceeded, BudgetSet
from services.ledger.domain.events.holds import HoldCaptured, HoldCreated, HoldExpired, HoldExtended, HoldReleased
from services.ledger.domain.events.parts import (
    ZERO,
    AccountEvent,
    AppEvent,
    Balances,
    BudgetOf,
    BudgetUse,
    EarnedTimes,
    EarnedUnder,
    MovedLot,
    NewLot,
    Priced,
    Returned,
    SliceOf,
    ThresholdOf,
    Time,
    Units,
)
from services.ledger.domain.events.transfers import TransferCredited, TransferDebited, TransferReturned

__all__ = [
    "ZERO",
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
    "CreditsCharged",
    "CreditsGranted",
    "EarnedTimes",
    "EarnedUnder",
    "Event",
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
    "OwedRecorded",
    "OwedRepaid",
    "PlanAssigned",
    "Priced",
    "ResetCause",
    "ResetCompleted",
    "Returned",
    "SliceOf",
    "ThresholdCrossed",
    "ThresholdOf",
    "Time",
    "TransferCredited",
    "TransferDebited",
    "TransferReturned",
    "Units",
]

Event = AccountEvent | AppEvent
