"""Vendors' list prices, as the package `genai-prices` has them, turned into the models of an app's price book.

They are turned into a version of the app's configuration by hand, when somebody wants them; nothing looks them up when
something is charged. Prices there are US dollars for a million tokens (https://github.com/pydantic/genai-prices).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelInfo, ModelPrice, StartDateConstraint, TieredPrices
from pydantic import ValidationError

from services.ledger.domain.specs.prices import PricesSpec

UNITS = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cached",
    "cache_write_mtok": "cache_write",
    "output_reasoning_mtok": "reasoning",
}
"""The units of a vendor's price that the price book has too."""


@dataclass(slots=True)
class Terms:
    """At what an app sells what vendors charge: so many credits for a dollar, and so many per cent on top."""

    credits_per_usd: Decimal
    markup_percent: str = "0"
    minimum: str = "0"


@dataclass(slots=True)
class Converted:
    """The models by name (`provider/model`), as `prices.models` takes them; why others, or parts of them, are not."""

    models: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    skipped: list[tuple[str, str]] = field(default_factory=list)


def providers() -> list[str]:
    """Every provider that has a list."""
    return sorted(provider.id for provider in get_snapshot().providers)


def convert(
    wanted_providers: Collection[str], wanted_models: Collection[str], terms: Terms, now: datetime
) -> Converted:
    """The prices of these providers' models and of these models (with their provider or without), from `now` on."""
    found = Converted()
    for provider in get_snapshot().providers:
        for model in provider.models:
            name = f"{provider.id}/{model.id}"
            if (
                provider.id in wanted_providers
                or name in wanted_models
                or ("/" not in model.id and model.id in wanted_models)
            ):
                _add(found, name, model, terms, now)
    return found


def _add(found: Converted, name: str, model: ModelInfo, terms: Terms, now: datetime) -> None:
    """Convert one model, or say why not."""
    try:
        dated = [_spec(prices, starts_at, terms) for starts_at, prices in _in_time(model, now)]
        PricesSpec.model_validate({"models": {name: dated}})
    except _Inexpressible as why:
        found.skipped.append((name, str(why)))
        return
    except ValidationError as error:
        found.skipped.append((name, error.errors()[0]["msg"]))
        return
    found.models[name] = dated
    left_out = sorted({key for _, prices in _in_time(model, now) for key in _prices_of(prices)} - UNITS.keys())
    if left_out:
        found.skipped.append((name, f"without {', '.join(left_out)}: the price book has no such unit"))


class _Inexpressible(Exception):
    """Why a model's price cannot be said in a price book."""


def _in_time(model: ModelInfo, now: datetime) -> Iterator[tuple[datetime | None, ModelPrice]]:
    """The prices in force now, and those to come with their beginnings."""
    starts: set[datetime] = set()
    if isinstance(model.prices, list):
        for each in model.prices:
            if isinstance(each.constraint, StartDateConstraint):
                starts.add(datetime.combine(each.constraint.start_date, time(), UTC))
            elif each.constraint is not None:
                raise _Inexpressible("its price depends on the time of day")
    yield None, model.get_prices(now)
    for start in sorted(starts):
        if start > now:
            yield start, model.get_prices(start)


def _prices_of(prices: ModelPrice) -> dict[str, Decimal | TieredPrices]:
    return {key: value for key, value in vars(prices).items() if value is not None}


def _spec(prices: ModelPrice, starts_at: datetime | None, terms: Terms) -> dict[str, Any]:
    """One price as an app file has it."""
    spec: dict[str, Any] = {} if starts_at is None else {"from": f"{starts_at:%Y-%m-%dT%H:%M:%SZ}"}
    long_input: dict[int, dict[str, Any]] = {}
    for key, price in _prices_of(prices).items():
        unit = UNITS.get(key)
        if unit is None:
            continue
        spec[unit] = _credits(price.base if isinstance(price, TieredPrices) else price, terms)
        for tier in price.tiers if isinstance(price, TieredPrices) else ():
            long_input.setdefault(tier.start, {"over": tier.start})[unit] = _credits(tier.price, terms)
    if not spec.keys() & set(UNITS.values()):
        raise _Inexpressible("it has no price for tokens")
    if long_input:
        spec["long_input"] = [long_input[over] for over in sorted(long_input)]
    given = {"markup_percent": terms.markup_percent, "minimum": terms.minimum}
    return {**spec, **{name: value for name, value in given.items() if value != "0"}}


def _credits(dollars: Decimal, terms: Terms) -> str:
    """Credits for a million tokens, in the shortest writing."""
    return f"{(dollars * terms.credits_per_usd).normalize():f}"
