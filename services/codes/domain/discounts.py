"""What a code takes off a checkout, in integer minor units; and which codes go together on one.

A code's discount is a per cent or a fixed sum of what is bought. It is rounded once, half away from zero, on the sum;
it never exceeds the code's maximum, nor what is left to pay.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Literal


@dataclass(frozen=True, slots=True)
class Discount:
    """The terms: either `percent_off` (above 0, up to 100) or `amount_off_minor`, of `currency`.

    `currency` is needed wherever minor units are: with a fixed sum, a minimum or a maximum. Without one, a discount
    holds for all currencies. `service` is what it is for; None: for all.
    """

    percent_off: Decimal | None = None
    amount_off_minor: int | None = None
    currency: str | None = None
    min_minor: int = 0
    max_off_minor: int | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class Checkout:
    """What is about to be paid: `amount_minor` before any code. `taken_minor` is what its other codes take off."""

    id: str
    amount_minor: int
    currency: str
    service: str | None = None
    method: str | None = None
    taken_minor: int = 0


class Stacking(StrEnum):
    """Which codes an app lets stand on one checkout."""

    NONE = "none"
    ONE_PERCENT_ONE_FIXED = "one_percent_one_fixed"


Effect = Literal["percent", "fixed", "credits"]
"""What a code does to a checkout; `credits`: it takes nothing off, but adds credits when it is paid."""

Unfit = Literal["below_minimum", "wrong_currency", "wrong_service"]


def effect_of(discount: Discount | None) -> Effect:
    """What a code with these terms does."""
    if discount is None:
        return "credits"
    return "fixed" if discount.percent_off is None else "percent"


def unfit(discount: Discount, checkout: Checkout) -> Unfit | None:
    """Why the discount does not hold for the checkout; None if it does.

    The minimum is compared with the amount before any code. A currency is asked for before the minimum, because
    amounts of two currencies can't be compared.
    """
    if discount.currency is not None and discount.currency != checkout.currency:
        return "wrong_currency"
    if checkout.amount_minor < discount.min_minor:
        return "below_minimum"
    if discount.service is not None and discount.service != checkout.service:
        return "wrong_service"
    return None


def discount_of(discount: Discount, checkout: Checkout) -> int:
    """Minor units that the code takes off a checkout that it fits.

    A per cent is of the amount before any code; together with those taken before, codes never take more than all of it.
    So a per cent and a fixed sum take the same together, whichever comes first.
    """
    if discount.percent_off is None:
        off = discount.amount_off_minor or 0
    else:
        numerator, denominator = discount.percent_off.as_integer_ratio()
        off = _half_away(checkout.amount_minor * numerator, denominator * 100)
    if discount.max_off_minor is not None:
        off = min(off, discount.max_off_minor)
    return max(0, min(off, checkout.amount_minor - checkout.taken_minor))


def stacks(rule: Stacking, present: Collection[Effect], new: Effect) -> bool:
    """Whether a code may join those that a checkout has."""
    if not present:
        return True
    return rule is Stacking.ONE_PERCENT_ONE_FIXED and {*present, new} == {"percent", "fixed"} and len(present) == 1


def _half_away(numerator: int, denominator: int) -> int:
    """The quotient of two positive integers, rounded half up, which is away from zero."""
    return (2 * numerator + denominator) // (2 * denominator)
