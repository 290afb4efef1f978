"""What the routes answer, for the OpenAPI document: answers are rendered by the rules, not by these."""

from __future__ import annotations

from libs.service.answers import Change, Config, Difference
from services.ledger.api.answers.accounts import Account, AccountRecord, Accounts, State, Threshold, Thresholds
from services.ledger.api.answers.base import Answer, Credits, Page, Time, Written
from services.ledger.api.answers.batches import AccountAfter, Batch, Result
from services.ledger.api.answers.budgets import Budget, BudgetCount, Budgets, BudgetsSet, MemberCount
from services.ledger.api.answers.holds import Capture, Hold, HoldRecord, Holds, Release
from services.ledger.api.answers.lots import Cost, Lot, LotOrigin, Lots
from services.ledger.api.answers.moves import (
    Adjustment,
    Charge,
    ChargeRecord,
    Earning,
    Grant,
    ImportedOperation,
    Refund,
    Revocation,
    Side,
    Transfer,
)
from services.ledger.api.answers.plans import Allowance, Plan
from services.ledger.api.answers.prices import Priced, PricedLine, Prices, Quote, QuoteSlice, UsedUnit
from services.ledger.api.answers.records import (
    AssetStatistics,
    BalancesThen,
    Event,
    Events,
    Imported,
    Outcome,
    Statistics,
    Transaction,
    Transactions,
)

__all__ = [
    "Account",
    "AccountAfter",
    "AccountRecord",
    "Accounts",
    "Adjustment",
    "Allowance",
    "Answer",
    "AssetStatistics",
    "BalancesThen",
    "Batch",
    "Budget",
    "BudgetCount",
    "Budgets",
    "BudgetsSet",
    "Capture",
    "Change",
    "Charge",
    "ChargeRecord",
    "Config",
    "Cost",
    "Credits",
    "Difference",
    "Earning",
    "Event",
    "Events",
    "Grant",
    "Hold",
    "HoldRecord",
    "Holds",
    "Imported",
    "ImportedOperation",
    "Lot",
    "LotOrigin",
    "Lots",
    "MemberCount",
    "Outcome",
    "Page",
    "Plan",
    "Priced",
    "PricedLine",
    "Prices",
    "Quote",
    "QuoteSlice",
    "Refund",
    "Release",
    "Result",
    "Revocation",
    "Side",
    "State",
    "Statistics",
    "Threshold",
    "Thresholds",
    "Time",
    "Transaction",
    "Transactions",
    "Transfer",
    "UsedUnit",
    "Written",
]
