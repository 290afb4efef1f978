"""A dry run: what a code would give, and every reason why it would not."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from libs.service.clock import SECOND_US
from services.codes.core import Core
from services.codes.domain.codes import Code, Refusal
from services.codes.domain.discounts import discount_of, unfit
from services.codes.handlers.guarding import look_up, tell
from services.codes.handlers.reserving import Order, credits_of


@dataclass(frozen=True, slots=True)
class Validation:
    """What came of it. Without a `code` there is none for the caller; `reasons` is empty when it would work.

    `discount_minor` is what it would take off the checkout, `lot_expires_at` when credits redeemed now would expire.
    """

    code: Code | None
    reasons: list[Refusal]
    amount: Decimal | None = None
    discount_minor: int | None = None
    lot_expires_at: int | None = None


async def validate(core: Core, order: Order) -> Validation:
    """Look the code up as a redemption would, and take nothing. A miss counts as a guess.

    Raises :class:`services.codes.handlers.guarding.Told` when somebody is locked out.
    """
    async with core.pool.acquire() as connection, connection.transaction():
        found = await look_up(core, connection, order)
        reasons = found.reasons
        if reasons:
            reasons = await tell(core, connection, order, found.code, reasons)
    code = found.code
    if code is None or reasons[:1] == [Refusal("code_not_found")]:
        return Validation(None, reasons)
    lot, discount, checkout = code.terms.credits, code.terms.discount, found.checkout
    gives = credits_of(code, order)
    fits = discount is not None and checkout is not None and unfit(discount, checkout) is None
    expires_at = None
    if lot is not None and lot.expires_after_s is not None:
        expires_at = await core.now_us(order.app) + lot.expires_after_s * SECOND_US
    return Validation(
        code,
        reasons,
        amount=gives or None,
        discount_minor=discount_of(discount, checkout) if fits and discount and checkout else None,
        lot_expires_at=expires_at,
    )
