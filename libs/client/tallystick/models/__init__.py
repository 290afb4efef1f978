"""What the ledger answers, as frozen dataclasses.

Credits are `Decimal`, times aware UTC `datetime`s. Every answer keeps the JSON object it was read from in `raw`, so
that a field which a newer ledger sends can be read before this library names it.
"""

from .accounts import Account, AccountPlan, Allowance, Budget, Budgets, BudgetsSet, Lot, State, Threshold
from .base import Answer, Balances, Page, Written
from .batches import BatchResult, BatchResults
from .config import Config, ConfigChange
from .holds import Capture, Hold, HoldRecord
from .moves import Adjustment, Charge, ChargeRecord, Earning, Grant, Refund, Revocation, Transfer
from .prices import Prices, Quote, QuoteLine, QuoteSlice
from .records import CommandOutcome, Event, Explanation, Feed, FeedMessage, Statistics, Transaction

__all__ = [
    "Account",
    "AccountPlan",
    "Adjustment",
    "Allowance",
    "Answer",
    "Balances",
    "BatchResult",
    "BatchResults",
    "Budget",
    "Budgets",
    "BudgetsSet",
    "Capture",
    "Charge",
    "ChargeRecord",
    "CommandOutcome",
    "Config",
    "ConfigChange",
    "Earning",
    "Event",
    "Explanation",
    "Feed",
    "FeedMessage",
    "Grant",
    "Hold",
    "HoldRecord",
    "Lot",
    "Page",
    "Prices",
    "Quote",
    "QuoteLine",
    "QuoteSlice",
    "Refund",
    "Revocation",
    "State",
    "Statistics",
    "Threshold",
    "Transaction",
    "Transfer",
    "Written",
]
