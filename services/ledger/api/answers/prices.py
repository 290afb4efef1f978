"""Prices, quotes, and what an amount was worked out from."""

from __future__ import annotations

from typing import Any

from services.ledger.api.answers.base import Answer, Credits, Time


class UsedUnit(Answer):
    """How much of a unit was used: a decimal string."""

    unit: str
    count: str


class PricedLine(UsedUnit):
    """A part of a price, not rounded; `unit_price` is for one, or for `per` tokens of the model's price."""

    unit_price: str
    amount: str


class QuoteSlice(Answer):
    """What a quote would take of a lot; `lot` is null for the allowance that an account would open with."""

    lot: str | None
    amount: Credits
    source: str
    expires_at: Time | None


class Priced(Answer):
    """What an amount was worked out from. The lines are exact; their sum, marked up, raised to the minimum and rounded
    up once, is the amount."""

    version: int
    price: str | None = None
    model: str | None = None
    usage: list[UsedUnit]
    lines: list[PricedLine]
    markup_percent: str = "0"
    minimum: Credits = "0"
    price_list: str | None = None
    quote: str | None = None


class Quote(Answer):
    """What something costs, promised until `valid_until`; of a user, whether it is there, and in which lots.

    `affordable` is whether a charge under the same `member` would be taken now; `budget` is the one that would not
    allow it.
    """

    id: str
    user: str | None
    asset: str
    amount: Credits
    price_version: int
    valid_until: Time
    affordable: bool | None
    budget: str | None
    settled: Credits | None
    held: Credits | None
    owed: Credits | None
    available: Credits | None
    slices: list[QuoteSlice]
    lines: list[PricedLine]
    priced: Priced
    position: int
    partition: int


class Prices(Answer):
    """The prices in force: by operation and by model, each with the time of its next change."""

    app: str
    version: int
    config_version: int
    list: str | None
    time: Time
    next_change: Time | None
    quote_ttl_s: int
    operations: dict[str, dict[str, Any]]
    models: dict[str, dict[str, Any]]
