"""The price book: what an app charges for its operations and models, by customer's list and by time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Literal

from services.ledger.domain.amounts import parse_signed
from services.ledger.domain.pricing.card import Rate, RateCard
from services.ledger.domain.rejections import Rejected
from services.ledger.domain.specs.prices import ModelSpec, OperationSpec, PriceListSpec, PricesSpec

Kind = Literal["price", "model"]
"""Of what a price is: of an operation (a command names it as `price`) or of a model."""
SECOND_US = 1_000_000
ALWAYS = -(1 << 62)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Entry:
    """The cards of one name in an asset, each with the time from which it holds, in that order."""

    asset: str
    cards: tuple[tuple[int, RateCard], ...]

    def at(self, time_us: int) -> RateCard | None:
        """The card in force at a time, None before the first."""
        return next((card for starts_at, card in reversed(self.cards) if starts_at <= time_us), None)

    def next_change(self, time_us: int) -> int | None:
        """When the next card comes into force."""
        return next((starts_at for starts_at, _ in self.cards if starts_at > time_us), None)


@dataclass(slots=True)
class PriceList:
    """The prices of one list. `aliases`: models by their ids without the provider, where that names one only."""

    operations: Mapping[str, Entry] = field(default_factory=dict)
    models: Mapping[str, Entry] = field(default_factory=dict)
    aliases: Mapping[str, str] = field(default_factory=dict)

    def find(self, kind: Kind, name: str) -> Entry | None:
        """The entry of an operation or a model."""
        if kind == "price":
            return self.operations.get(name)
        return self.models.get(name) or self.models.get(self.aliases.get(name, ""))


@dataclass(slots=True)
class PriceBook:
    """All prices of an app. `version`: that of the configuration in which they first stood as they are."""

    version: int = 0
    ordinary: PriceList = field(default_factory=PriceList)
    lists: Mapping[str, PriceList] = field(default_factory=dict)
    quote_ttl_us: int = 600 * SECOND_US

    def card(self, kind: Kind, name: str, asset: str, price_list: str | None, now: int) -> RateCard:
        """What is charged in `asset` at a time, by the customer's list where it has this name; 404 `unknown_price`.

        A list that the book no longer has leaves its customers at the ordinary prices.
        """
        customers = self.lists.get(price_list or "")
        entry = None if customers is None else customers.find(kind, name)
        entry = entry or self.ordinary.find(kind, name)
        card = None if entry is None or entry.asset != asset else entry.at(now)
        if card is None:
            what = "an operation" if kind == "price" else "a model"
            detail = f"This app has no price for {what} '{name}' in '{asset}' at present."
            raise Rejected(404, "unknown_price", detail, {kind: name})
        return card


def compile_book(spec: PricesSpec, version: int, scales: Mapping[str, int], default_asset: str) -> PriceBook:
    """The form that decisions read; the document has been validated, so this cannot fail."""

    def compiled(prices: PriceListSpec, name: str | None) -> PriceList:
        def entry(specs: tuple[OperationSpec, ...] | tuple[ModelSpec, ...], of: str) -> Entry:
            asset = specs[0].asset or default_asset
            return Entry(asset, tuple(_dated(each, of, version, name, scales[asset]) for each in specs))

        models = {model: entry(specs, model) for model, specs in prices.models.items()}
        operations = {operation: entry(specs, operation) for operation, specs in prices.operations.items()}
        return PriceList(operations, models, _aliases(models))

    lists = {name: compiled(prices, name) for name, prices in spec.lists.items()}
    return PriceBook(version, compiled(spec, None), lists, spec.quote_ttl_s * SECOND_US)


def _dated(
    spec: OperationSpec | ModelSpec, name: str, version: int, price_list: str | None, scale: int
) -> tuple[int, RateCard]:
    """A card, and from when it holds."""
    starts_at = ALWAYS if spec.starts_at is None else (spec.starts_at - _EPOCH) // timedelta(microseconds=1)
    is_model = isinstance(spec, ModelSpec)
    card = RateCard(
        version=version,
        rates=tuple(_model_rates(spec) if isinstance(spec, ModelSpec) else _operation_rates(spec)),
        price=None if is_model else name,
        model=name if is_model else None,
        per=spec.per if isinstance(spec, ModelSpec) else 1,
        markup_percent=spec.markup_percent,
        minimum=parse_signed(spec.minimum, scale),
        price_list=price_list,
    )
    return starts_at, card


def _operation_rates(spec: OperationSpec) -> Iterable[Rate]:
    if spec.amount is not None:
        return [Rate("quantity", spec.amount)]
    return [Rate("quantity", tier.amount, tier.over) for tier in spec.tiers]


def _model_rates(spec: ModelSpec) -> Iterable[Rate]:
    usual = [Rate(unit, price) for unit, price in spec.by_unit()]
    return usual + [Rate(unit, price, band.over) for band in spec.long_input for unit, price in band.by_unit()]


def _aliases(models: Iterable[str]) -> dict[str, str]:
    """`gpt-4o-mini` for `openai/gpt-4o-mini`, unless another provider's model has the same id."""
    found: dict[str, list[str]] = {}
    for name in models:
        found.setdefault(name.partition("/")[2], []).append(name)
    return {alias: names[0] for alias, names in found.items() if alias and len(names) == 1}
