"""Taking a use of a code, in one transaction. Locks always in the order campaign, code, customer, then the checkout."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal

from libs.events.contracts.codes.events import RedemptionReserved
from libs.events.db import Connection
from libs.events.failpoints import reach
from libs.events.outbox import Cause
from libs.service.clock import SECOND_US
from libs.service.problems import NotFound, Problem, invalid
from services.codes.core import Core
from services.codes.domain.codes import Code, Counts, Refusal, Terms, Use, refusal_of, refusal_of_entitlement
from services.codes.domain.discounts import Checkout, discount_of
from services.codes.domain.redemptions import Claim, Redemption
from services.codes.handlers.ending import end_redemptions
from services.codes.handlers.granting import send_grant
from services.codes.handlers.stacking import Basket, basket_of
from services.codes.handlers.telling import facts_of, time_text
from services.codes.store import codes, entitlements, redemptions
from services.codes.store.codes import Campaign
from services.codes.store.entitlements import Entitlement

MANUAL = "manual"
"""The payment method whose reservations wait for a person."""
STANDING = ("reserved", "confirmed", "rolled_back")
"""What a checkout has of a code is answered again; of the others it takes a new use."""


@dataclass(frozen=True, slots=True)
class Order:
    """What is asked: that `user` uses the code of this `text`, for a checkout or at once.

    `entitlement` may stand in the place of the text. `amount` is for a part of a gift.
    """

    app: str
    user: str
    text: str
    caller: str
    cause: Cause
    checkout: Checkout | None = None
    entitlement: str | None = None
    amount: Decimal | None = None
    client_ip: str | None = None
    # Whoever looks after codes sees every reason, and is neither counted as a guesser nor locked out.
    staff: bool = False
    language: str = "en"


class Refused(Exception):
    """The code does not work; `code` is the one that was found, if any."""

    def __init__(self, refusal: Refusal, code: Code | None = None) -> None:
        super().__init__(refusal.code)
        self.refusal = refusal
        self.code = code


@dataclass(frozen=True, slots=True)
class Judged:
    """What may be taken, under its locks: a use of the `code`, or what `entitled` names."""

    code: Code
    campaign: Campaign | None
    basket: Basket | None
    entitled: Entitlement | None
    gives: Decimal
    takes_off_minor: int | None


async def reserve(core: Core, connection: Connection, order: Order) -> Redemption:
    """A reservation of the code, for credits with the command that grants them. Raises :class:`Refused`.

    A checkout that has one of this code gets the same again. What was written before a refusal must be undone.
    """
    now_us = await core.now_us(order.app)
    code_id = await _code_of(core, connection, order)
    judged = await _judge(core, connection, order, code_id, now_us)
    if isinstance(judged, Redemption):
        return judged
    await _take(connection, judged, order.user, now_us)
    reach("redemption.taken")
    redemption = await _put(core, connection, order, judged, now_us)
    if order.checkout is None and redemption.command_id is None:
        # Without credits there is nothing to wait for: what remains of it is the entitlement that it leaves.
        (redemption,) = await end_redemptions(core, connection, [Claim(redemption.id, "confirmed")], order.cause)
    return redemption


async def _code_of(core: Core, connection: Connection, order: Order) -> str:
    """The id of the code that is meant."""
    if order.entitlement is None:
        found = await codes.by_digest(connection, order.app, core.digest(order.app, order.text))
        # A user's own code, by which others come, promises nothing to who enters it.
        if found is None or found.terms == Terms():
            raise Refused(Refusal("code_not_found"))
        return found.id
    entitlement = await entitlements.by_id(connection, order.app, order.entitlement)
    if entitlement is None or entitlement.user_id != order.user:
        raise NotFound("entitlement")
    return entitlement.code_id


async def _judge(core: Core, connection: Connection, order: Order, code_id: str, now_us: int) -> Judged | Redemption:
    """Lock what the use counts for, and say what it would take; or what the checkout has of the code already."""
    campaign_id = await codes.campaign_of(connection, code_id)
    campaigns = await codes.lock_campaigns(connection, [campaign_id] if campaign_id else [])
    code = (await codes.lock_codes(connection, [code_id]))[code_id]
    pair = (code.id, order.user)
    uses = (await codes.lock_users(connection, [pair]))[pair]
    campaign = campaigns.get(code.campaign_id or "")
    basket = entitled = None
    checkout = order.checkout
    if checkout is not None:
        rule = core.configs.get(order.app).document.codes.stacking
        basket = await basket_of(connection, order.app, order.user, checkout, code=code, rule=rule)
        if basket.present is not None and basket.present.status in STANDING:
            return basket.present
        checkout = basket.checkout
        entitled = await _entitled(connection, order, code, now_us)
    gives = Decimal(0)
    if entitled is None:
        problem = not_together(code, order)
        if problem is not None:
            raise problem
        gives = credits_of(code, order)
    minor = None
    if checkout is not None and code.terms.discount is not None:
        minor = discount_of(code.terms.discount, checkout)
    counts = counts_for(campaign, uses, gives, minor or 0, stacks=basket is None or basket.stacks)
    if entitled is not None:
        refusal = refusal_of_entitlement(code, Use(order.user, checkout), counts)
    else:
        opened_at, first_paid_at = await codes.customer_of(connection, order.app, order.user)
        refusal = refusal_of(code, Use(order.user, checkout, opened_at, first_paid_at), counts, now_us)
    if refusal is not None:
        raise Refused(refusal, code)
    return Judged(code, campaign, basket, entitled, gives, minor)


def counts_for(
    campaign: Campaign | None, uses: int, gives: Decimal, takes_off_minor: int, *, stacks: bool = True
) -> Counts:
    """What limits a use of a code beside its own counters."""
    counts = Counts(uses, gives=gives, takes_off_minor=takes_off_minor, stacks=stacks)
    if campaign is None:
        return counts
    return replace(
        counts,
        campaign_active=campaign.active,
        budget_left=campaign.left,
        budget_left_minor=campaign.left_minor,
        budget_currency=campaign.currency,
    )


async def _entitled(connection: Connection, order: Order, code: Code, now_us: int) -> Entitlement | None:
    """The user's entitlement to the locked code's discount, if there is one: the one that was named, or any."""
    entitlement = await entitlements.usable(connection, code.id, order.user, now_us, order.entitlement)
    if order.entitlement is not None and entitlement is None:
        named = await entitlements.by_id(connection, order.app, order.entitlement)
        ended = named is not None and named.status == "available"
        raise Refused(Refusal("code_expired" if ended else "code_already_redeemed"), code)
    return entitlement


def credits_of(code: Code, order: Order) -> Decimal:
    """The credits of a use: those of the code, or of a gift as much as is asked for, or all that is left on it."""
    if code.balance is not None:
        return code.balance if order.amount is None else order.amount
    return Decimal(0) if code.terms.credits is None else code.terms.credits.amount


def not_together(code: Code, order: Order) -> Problem | None:
    """What was asked with the code and does not go with one of its kind, if anything."""
    if code.balance is None and order.amount is not None:
        return invalid("not_together", "amount", "Only a gift is redeemed in parts.")
    if code.balance is not None and order.checkout is not None:
        return invalid("not_together", "checkout", "A gift is redeemed by itself.")
    return None


async def _take(connection: Connection, judged: Judged, user: str, now_us: int) -> None:
    code, campaign = judged.code, judged.campaign
    if judged.entitled is None and not await redemptions.take_use(connection, code, user, now_us):
        raise Refused(Refusal("code_used_up"), code)
    if code.balance is not None:
        await redemptions.move_balances(connection, {code.id: -judged.gives})
    if campaign is not None and not await redemptions.take_budget(
        connection, campaign.id, judged.gives, judged.takes_off_minor or 0
    ):
        raise Refused(Refusal("budget_spent"), code)


async def _put(core: Core, connection: Connection, order: Order, judged: Judged, now_us: int) -> Redemption:
    """Write the reservation down, with its command if it has one, and tell of it."""
    code, basket = judged.code, judged.basket
    again = None if basket is None else basket.present
    redemption = Redemption(
        id=core.new_id("redemption", order.app, order.user) if again is None else again.id,
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
        amount=judged.gives or None,
        discount_minor=judged.takes_off_minor,
        currency=None if order.checkout is None else order.checkout.currency,
        entitlement_id=None if judged.entitled is None else judged.entitled.id,
        expires_at=now_us + _reservation_s(core, order) * SECOND_US,
        balance=None if code.balance is None else code.balance - judged.gives,
    )
    if order.checkout is None and redemption.amount is not None:
        command_id = await send_grant(core, connection, redemption, code, order.cause)
        redemption = replace(redemption, command_id=command_id, expires_at=None)
    await redemptions.put(connection, redemption)
    if judged.entitled is not None:
        await entitlements.refresh(connection, [judged.entitled.id])
    expires_at = None if redemption.expires_at is None else time_text(redemption.expires_at)
    await core.outbox.add(
        connection,
        RedemptionReserved(**facts_of(redemption), expires_at=expires_at),
        app=order.app,
        user=order.user,
        cause=order.cause,
    )
    return redemption


def _reservation_s(core: Core, order: Order) -> int:
    spec = core.configs.get(order.app).document.codes
    manual = order.checkout is not None and order.checkout.method == MANUAL
    return spec.manual_reservation_s if manual else spec.reservation_s
