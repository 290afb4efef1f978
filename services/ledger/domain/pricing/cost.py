"""What a use costs by a rate card. Integers throughout; rounded up once, at the end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from services.ledger.domain.amounts import UNITS_MAX
from services.ledger.domain.pricing.card import PART_OF, TOKENS, UNITS, Count, Line, Rate, RateCard
from services.ledger.domain.pricing.exact import (
    COUNT_PLACES,
    PERCENT_PLACES,
    PRICE_PLACES,
    scaled,
    shown,
)
from services.ledger.domain.rejections import Rejected, invalid

Usage = Mapping[str, int]
"""How much was used of each unit (:data:`UNITS`), in millionths."""

Part = tuple[str, int, Rate]
"""A count of a unit, and the rate that it is charged at."""

PER_PLACES = 6
"""A token's rate is for 1, 1,000 or 1,000,000 of them."""
LINE_PLACES = PRICE_PLACES + COUNT_PLACES + PER_PLACES
_PERCENT = 100 * 10**PERCENT_PLACES
_TOTAL_PLACES = LINE_PLACES + PERCENT_PLACES + 2
ONE = 10**COUNT_PLACES
"""One of a unit: usage is in millionths."""


@dataclass(slots=True, frozen=True)
class Cost:
    """What a use costs: `amount` in units of the asset, and the lines that it is the sum of."""

    amount: int
    lines: tuple[Line, ...]


def cost(card: RateCard, usage: Usage, scale: int) -> Cost:
    """The cost of `usage`: lines added up, marked up, raised to the minimum, rounded up once.

    What costs nothing by its rates (a free tier, a call that used nothing) stays free: the minimum is of what costs.
    404 `unknown_price` names a unit that the card has no rate for; 400 says what contradicts itself or is too much.
    """
    parts = _graduated(card, usage) if card.model is None else _of_model(card, usage)
    lines = []
    exact = 0
    for unit, count, rate in parts:
        per = card.per if unit in TOKENS else 1
        amount = count * scaled(rate.price, PRICE_PLACES) * 10**PER_PLACES // per
        exact += amount
        lines.append(Line(unit, shown(count, COUNT_PLACES), rate.price, shown(amount, LINE_PLACES)))
    marked = exact * (_PERCENT + scaled(card.markup_percent, PERCENT_PLACES))
    amount = max(-(-marked // 10 ** (_TOTAL_PLACES - scale)), card.minimum) if exact else 0
    if amount > UNITS_MAX:
        raise invalid("usage", "amount_too_large", "This costs more than the ledger can count.")
    return Cost(amount, tuple(lines))


def counts(usage: Usage) -> tuple[Count, ...]:
    """A use as it is recorded: what was counted at all, in the order of :data:`UNITS`."""
    return tuple(Count(unit, shown(usage[unit], COUNT_PLACES)) for unit in UNITS if usage.get(unit))


def _rates(card: RateCard) -> dict[str, list[Rate]]:
    """The rates of each unit, the lowest band first."""
    rates: dict[str, list[Rate]] = {}
    for rate in card.rates:
        rates.setdefault(rate.unit, []).append(rate)
    return rates


def _graduated(card: RateCard, usage: Usage) -> Iterator[Part]:
    """Each part of an operation's quantity with the rate of the band that it lies in, the lowest first."""
    for unit in usage:
        if unit != "quantity" and usage[unit]:
            raise _unpriced(card, unit)
    quantity = usage.get("quantity", 0)
    ends = [rate.over * ONE for rate in card.rates[1:]] + [quantity]
    for rate, end in zip(card.rates, ends, strict=True):
        part = min(quantity, end) - rate.over * ONE
        if part > 0:
            yield "quantity", part, rate


def _of_model(card: RateCard, usage: Usage) -> Iterator[Part]:
    """Counts that do not overlap, each with its rate; tokens that have none of their own cost what they are part of."""
    rates = _rates(card)
    whole = usage.get("input", 0)
    own = dict(usage)
    for part, of in PART_OF.items():
        own[of] = own.get(of, 0) - own.get(part, 0)
        if own[of] < 0:
            detail = f"'{part}' is counted in '{of}' too: it cannot be more."
            raise invalid(f"usage.{part}", "usage_inconsistent", detail)
    for unit in UNITS:
        count = own.get(unit, 0)
        if not count:
            continue
        bands = rates.get(unit) or rates.get(PART_OF.get(unit, ""))
        if bands is None:
            raise _unpriced(card, unit)
        yield unit, count, next(rate for rate in reversed(bands) if rate.over == 0 or whole > rate.over * ONE)


def _unpriced(card: RateCard, unit: str) -> Rejected:
    detail = f"There is no price for '{unit}' of {card.name}."
    return Rejected(404, "unknown_price", detail, {"unit": unit, "price": card.price, "model": card.model})
