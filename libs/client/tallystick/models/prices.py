"""Prices and quotes."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from .base import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteLine(Answer):
    """One unit of a quote: `count` of it, at `unit_price` each."""

    unit: str | None = None
    count: Decimal | None = None
    unit_price: Decimal | None = None
    amount: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class QuoteSlice(Answer):
    """Credits that a quote would take from one lot; from none yet where the account would open with it."""

    amount: Decimal
    lot: str | None = None
    source: str | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Quote(Answer):
    """What something costs by `price_version`, for a charge or a hold that names it before `valid_until`.

    With a user, `affordable` says whether a charge would be taken, `budget` which budget would refuse it, and `slices`
    which lots it would come from.
    """

    id: str
    amount: Decimal
    price_version: int | None = None
    valid_until: datetime | None = None
    affordable: bool | None = None
    budget: str | None = None
    available: Decimal | None = None
    slices: tuple[QuoteSlice, ...] = ()
    lines: tuple[QuoteLine, ...] = ()
    replayed: bool = False
    idempotency_key: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices(Answer):
    """The price book in force: the prices of `operations` and `models` by name, as the app's file has them."""

    version: int | None = None
    operations: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Any] = field(default_factory=dict)
    next_change: datetime | None = None
    quote_ttl_s: int | None = None
