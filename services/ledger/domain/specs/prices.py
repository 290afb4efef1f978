"""`prices` of an app file: operations at a flat or a graduated price, models by their units, customers' lists.

Prices are credits as decimal strings, exact to twelve decimals whatever the scale of the asset: only the cost of a
whole operation is rounded, up and once.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from services.ledger.domain.amounts import AmountError, parse_signed
from services.ledger.domain.pricing.card import PART_OF
from services.ledger.domain.pricing.exact import COUNT_MAX, PERCENT_PLACES, PRICE_PLACES, scaled
from services.ledger.domain.specs.base import DAY_S, Name, Strict

ModelName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}$")]
"""A model as its users name it, with the provider in front: `openai/gpt-4o-mini`."""


def _decimal(places: int) -> AfterValidator:
    def check(text: str) -> str:
        scaled(text, places)
        return text

    return AfterValidator(check)


def _text_of_integer(value: Any) -> Any:
    return str(value) if type(value) is int else value


Price = Annotated[str, Field(max_length=32), _decimal(PRICE_PLACES)]
Percent = Annotated[
    str,
    BeforeValidator(_text_of_integer, json_schema_input_type=str | int),
    Field(max_length=16),
    _decimal(PERCENT_PLACES),
]


class _Priced(Strict):
    """What operations and models share.

    `from`: the price holds from this time on, until a later one does; without it, always. `minimum`: what an operation
    that costs anything costs at least. The mark-up comes before the minimum.
    """

    model_config = ConfigDict(serialize_by_alias=True)

    starts_at: AwareDatetime | None = Field(default=None, alias="from")
    asset: Name | None = None
    markup_percent: Percent = "0"
    minimum: str = "0"


class TierSpec(Strict):
    """A band of the quantity of one operation: what lies above `over`, up to `up_to`, costs `amount` each."""

    over: int = Field(ge=0, le=COUNT_MAX)
    up_to: int | None = Field(default=None, gt=0, le=COUNT_MAX)
    amount: Price


class OperationSpec(_Priced):
    """The price of one unit of an operation's quantity: one `amount`, or graduated `tiers` of it.

    Tiers are bands of the quantity of the one operation that is charged, without gaps and overlaps, from nothing to
    without end.
    """

    amount: Price | None = None
    tiers: tuple[TierSpec, ...] = Field(default=(), max_length=50)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if (self.amount is None) == (not self.tiers):
            raise ValueError("an operation has either an amount or tiers")
        reached: int | None = 0
        for tier in self.tiers:
            if reached is None or tier.over < reached:
                raise ValueError(f"the tier over {tier.over} overlaps with the one before it")
            if tier.over > reached:
                raise ValueError(f"there is a gap in the tiers between {reached} and {tier.over}")
            if tier.up_to is not None and tier.up_to <= tier.over:
                raise ValueError(f"the tier over {tier.over} ends before it begins")
            reached = tier.up_to
        if self.tiers and reached is not None:
            raise ValueError(f"there is a gap in the tiers above {reached}: the last one has no end")
        return self


class UnitPrices(Strict):
    """A price for each unit. Tokens of a kind that has none cost what the tokens that they are part of do."""

    input: Price | None = None
    output: Price | None = None
    cached: Price | None = None
    cache_write: Price | None = None
    reasoning: Price | None = None
    images: Price | None = None
    seconds: Price | None = None

    def by_unit(self) -> Iterator[tuple[str, str]]:
        """The prices that there are."""
        for unit in UnitPrices.model_fields:
            price = getattr(self, unit)
            if price is not None:
                yield unit, price


class LongInputSpec(UnitPrices):
    """Prices of a call whose input is longer than `over` tokens, all of it; what is not given costs as usual."""

    over: int = Field(gt=0, le=COUNT_MAX)


class ModelSpec(UnitPrices, _Priced):
    """The prices of a model: of `per` tokens, of one image, of one second."""

    per: Literal[1, 1_000, 1_000_000] = 1_000_000
    long_input: tuple[LongInputSpec, ...] = Field(default=(), max_length=10)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        priced = {unit for unit, _ in self.by_unit()}
        if not priced:
            raise ValueError("a model has a price for at least one unit")
        for part, of in PART_OF.items():
            if part in priced and of not in priced:
                raise ValueError(f"'{part}' tokens are part of '{of}' tokens, which have no price")
        reached = 0
        for band in self.long_input:
            if band.over <= reached:
                raise ValueError("prices of long input begin higher from one to the next")
            reached = band.over
            for unit, _ in band.by_unit():
                if unit not in priced:
                    raise ValueError(f"'{unit}' has a price for long input and none for the rest")
        return self


PricedT = TypeVar("PricedT", bound=_Priced)


def _in_order(dated: tuple[PricedT, ...]) -> tuple[PricedT, ...]:
    for earlier, later in pairwise(dated):
        if later.starts_at is None or (earlier.starts_at is not None and later.starts_at <= earlier.starts_at):
            raise ValueError("prices stand in the order of their 'from', which only the first may lack")
        if later.asset != earlier.asset:
            raise ValueError("all prices of one name are in one asset")
    return dated


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, dict | BaseModel) else value


OperationPrices = Annotated[
    tuple[OperationSpec, ...],
    Field(min_length=1, max_length=20),
    BeforeValidator(_listed, json_schema_input_type=OperationSpec | tuple[OperationSpec, ...]),
    AfterValidator(_in_order),
]
"""One price, or several with the times `from` which they hold."""
ModelPrices = Annotated[
    tuple[ModelSpec, ...],
    Field(min_length=1, max_length=20),
    BeforeValidator(_listed, json_schema_input_type=ModelSpec | tuple[ModelSpec, ...]),
    AfterValidator(_in_order),
]


class PriceListSpec(Strict):
    """Prices in place of the ordinary ones of the same names."""

    operations: dict[Name, OperationPrices] = Field(default={}, max_length=1000)
    models: dict[ModelName, ModelPrices] = Field(default={}, max_length=1000)

    def priced(self) -> Iterator[_Priced]:
        """Every price."""
        for operation in self.operations.values():
            yield from operation
        for model in self.models.values():
            yield from model


class PricesSpec(PriceListSpec):
    """The ordinary prices, and `lists` of others that accounts can be given (`price_list` of an account)."""

    lists: dict[Name, PriceListSpec] = Field(default={}, max_length=100)
    quote_ttl_s: int = Field(default=600, gt=0, le=31 * DAY_S)

    def check(self, scales: dict[str, int], default_asset: str) -> None:
        """ValueError if a price names an asset that there is not, or a minimum has more decimals than its asset."""
        for each in (self, *self.lists.values()):
            for priced in each.priced():
                asset = priced.asset or default_asset
                if asset not in scales:
                    raise ValueError(f"there is no asset {asset!r}")
                try:
                    minimum = parse_signed(priced.minimum, scales[asset])
                except AmountError as error:
                    raise ValueError(f"minimum: {error.detail}") from error
                if minimum < 0:
                    raise ValueError("a minimum is zero or more")
