"""Ending the reservation of a checkout by a call, as the events of payments do."""

from __future__ import annotations

from typing import Any

import orjson

from libs.events.db import Connection
from libs.events.outbox import Cause
from libs.service.clock import format_time
from libs.service.once import Result, Wish, once
from libs.service.problems import NotFound, Problem
from services.codes.core import Core
from services.codes.domain.amounts import format_amount
from services.codes.domain.redemptions import Claim
from services.codes.domain.settling import Status
from services.codes.handlers.ending import end_redemptions
from services.codes.handlers.redeeming import shown
from services.codes.store import redemptions
from services.codes.store.entitlements import Entitlement

STANDS_FOR: dict[Status, frozenset[Status]] = {
    "confirmed": frozenset({"confirmed"}),
    "released": frozenset({"released", "expired"}),
}
"""What somebody wants → where he has it."""


class RedemptionEnded(Problem):
    """It has ended, in another way."""

    status = 409
    code = "redemption_ended"
    title = "The redemption has ended otherwise"
    next = "Read `status`. What has expired or was released can be reserved again for its checkout."


class NoCheckout(Problem):
    """The ledger says what becomes of it."""

    status = 409
    code = "redemption_without_checkout"
    title = "This redemption is for no checkout: it settles by itself"
    next = "Ask for it until the ledger has told."


async def _end(core: Core, wish: Wish, claim: Claim, cause: Cause) -> Result:
    """Confirm or release the reservation of a checkout; 200 with it, also where that was done before."""

    async def effect(connection: Connection) -> Result:
        redemption = await redemptions.by_id(connection, wish.app, claim.redemption_id)
        if redemption is None:
            raise NotFound("redemption")
        if redemption.checkout is None:
            raise NoCheckout
        (after,) = await end_redemptions(core, connection, [claim], cause)
        if after.status not in STANDS_FOR[claim.status]:
            raise RedemptionEnded(f"The redemption is {after.status}.", extra={"redemption_status": after.status})
        return Result(200, orjson.dumps(shown(after)))

    return await once(core.pool, wish, effect)


async def confirm(core: Core, wish: Wish, redemption_id: str, began_us: int | None, cause: Cause) -> Result:
    """Confirm what stood when the payment began (microseconds since the epoch; None: now)."""
    if began_us is None:
        began_us = await core.now_us(wish.app)
    return await _end(core, wish, Claim(redemption_id, "confirmed", began_us=began_us), cause)


async def release(core: Core, wish: Wish, redemption_id: str, reason: str | None, cause: Cause) -> Result:
    """Give the use back, because the checkout goes on without the code or not at all."""
    return await _end(core, wish, Claim(redemption_id, "released", refusal=reason), cause)


def entitlement_view(entitlement: Entitlement) -> dict[str, Any]:
    """An entitlement as its user sees it."""
    discount = entitlement.discount
    return {
        "id": entitlement.id,
        "status": entitlement.status,
        "code": entitlement.code_id,
        "name": entitlement.name,
        "user": entitlement.user_id,
        "redemption": entitlement.redemption_id,
        "percent_off": None if discount.percent_off is None else format_amount(discount.percent_off),
        "amount_off": discount.amount_off_minor,
        "currency": discount.currency,
        "min_minor": discount.min_minor,
        "max_off_minor": discount.max_off_minor,
        "service": discount.service,
        "created_at": format_time(entitlement.created_at),
        "ends_at": format_time(entitlement.ends_at),
    }
