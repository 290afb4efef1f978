"""Taking a use of a code, in one transaction. Locks always in the order campaign, code, customer."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from libs.events.commands import send_command
from libs.events.contracts.codes.events import RedemptionReserved
from libs.events.contracts.ledger.commands import GrantCredits
from libs.events.db import Connection
from libs.events.outbox import Cause
from libs.service.clock import SECOND_US, to_datetime
from services.codes.core import Core
from services.codes.domain.amounts import format_amount
from services.codes.domain.codes import Code, Counts, Refusal, Terms, Use, refusal_of
from services.codes.domain.discounts import Checkout, discount_of
from services.codes.domain.redemptions import Redemption
from services.codes.handlers.telling import facts_of, time_text
from services.codes.store import codes, redemptions

MANUAL = "manual"
"""The payment method whose reservations wait for a person."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked: that `user` uses the code of this `text`, for a checkout or at once."""

    app: str
    user: str
    text: str
    caller: str
    cause: Cause
    checkout: Checkout | None = None


class Refused(Exception):
    """The code does not work; `code` is the one that was found, if any."""

    def __init__(self, refusal: Refusal, code: Code | None = None) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.code = code


async def reserve(core: Core, connection: Connection, order: Order) -> Redemption:
    """A reservation of the code, for credits with the command that grants them. Raises :class:`Refused`.

    A checkout that has one of this code gets the same again. What was written before a refusal must be undone.
    """
    now_us = await core.now_us(order.app)
    found = await codes.by_digest(connection, order.app, core.digest(order.app, order.text))
    # A user's own code, by which others come, promises nothing to who enters it.
    if found is None or found.terms == Terms():
        raise Refused(Refusal("code_not_found"))
    campaigns = await codes.lock_campaigns(connection, [found.campaign_id] if found.campaign_id else [])
    code = (await codes.lock_codes(connection, [found.id]))[found.id]
    pair = (code.id, order.user)
    uses = (await codes.lock_users(connection, [pair]))[pair]
    if order.checkout is not None:
        present = await redemptions.of_checkout(connection, code.id, order.checkout.id)
        if present is not None and present.user_id == order.user:
            return present
    gives = Decimal(0) if code.terms.credits is None else code.terms.credits.amount
    minor = _discount(code, order.checkout)
    campaign = campaigns.get(code.campaign_id or "")
    counts = Counts(uses, gives=gives, takes_off_minor=minor or 0)
    if campaign is not None:
        counts = replace(
            counts, campaign_active=campaign.active, budget_left=campaign.left, budget_left_minor=campaign.left_minor
        )
    opened_at, first_paid_at = await codes.customer_of(connection, order.app, order.user)
    refusal = refusal_of(code, Use(order.user, order.checkout, opened_at, first_paid_at), counts, now_us)
    if refusal is not None:
        raise Refused(refusal, code)
    if not await redemptions.take_use(connection, code, order.user, now_us):
        raise Refused(Refusal("code_used_up"), code)
    if campaign is not None and not await redemptions.take_budget(connection, campaign.id, gives, minor or 0):
        raise Refused(Refusal("budget_spent"), code)
    redemption = Redemption(
        id=core.new_id("redemption", order.app, order.user),
        app=order.app,
        code_id=code.id,
        user_id=order.user,
        caller=order.caller,
        kind=code.kind,
        status="reserved",
        reserved_at=now_us,
        campaign_id=code.campaign_id,
        batch_id=code.batch_id,
        checkout=None if order.checkout is None else order.checkout.id,
        amount=gives or None,
        discount_minor=minor,
        currency=None if order.checkout is None else order.checkout.currency,
        expires_at=now_us + _reservation_s(core, order) * SECOND_US,
    )
    if order.checkout is None and redemption.amount is not None:
        command_id = await send_grant(core, connection, redemption, code, order.cause)
        redemption = replace(redemption, command_id=command_id, expires_at=None)
    await redemptions.insert(connection, redemption)
    expires_at = None if redemption.expires_at is None else time_text(redemption.expires_at)
    await core.outbox.add(
        connection,
        RedemptionReserved(**facts_of(redemption), expires_at=expires_at),
        app=order.app,
        user=order.user,
        cause=order.cause,
    )
    return redemption


async def send_grant(core: Core, connection: Connection, redemption: Redemption, code: Code, cause: Cause) -> str:
    """Ask the ledger for the credits of a redemption, once for ever; the command's id. They expire from now on."""
    now_us = await core.now_us(redemption.app)
    promised = code.terms.credits
    assert promised is not None and redemption.amount is not None  # noqa: S101 - only such redemptions come here
    expires = promised.expires_after_s
    command = GrantCredits(
        user=redemption.user_id,
        amount=format_amount(redemption.amount),
        source=code.source,
        scope=promised.scope,
        expires_at=None if expires is None else to_datetime(now_us + expires * SECOND_US),
        unique_ref=redemption.id,
        reference=redemption.id,
        reason=f"{code.kind}_code",
    )
    return await send_command(
        connection,
        core.outbox,
        command,
        app=redemption.app,
        user=redemption.user_id,
        idempotency_key=redemption.id,
        cause=cause,
    )


def _discount(code: Code, checkout: Checkout | None) -> int | None:
    if checkout is None or code.terms.discount is None:
        return None
    return discount_of(code.terms.discount, checkout)


def _reservation_s(core: Core, order: Order) -> int:
    spec = core.configs.get(order.app).document.codes
    manual = order.checkout is not None and order.checkout.method == MANUAL
    return spec.manual_reservation_s if manual else spec.reservation_s
