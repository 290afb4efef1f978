"""From the first payment to the rewards: promised, held, paid by the ledger, or not."""

from __future__ import annotations

import dataclasses
from zoneinfo import ZoneInfo

from libs.events.commands import send_command
from libs.events.contracts.codes.referrals import ReferralRewardRefused
from libs.events.contracts.ledger.commands import GrantCredits
from libs.events.contracts.payments.events import OrderPaid, OrderRefunded
from libs.events.db import Connection
from libs.events.envelope import Envelope
from libs.events.failpoints import reach
from libs.events.outbox import Cause
from libs.service.clock import parse_time, to_datetime
from services.codes.core import Core
from services.codes.domain.referrals.binding import DAY_US
from services.codes.domain.referrals.rewards import (
    FRAUD,
    LIMITED,
    Order,
    ReferralRefusal,
    RewardRefusal,
    due_at_us,
    month_of,
    promises,
    takes_back,
    text_of,
    wanted,
    within_limit,
)
from services.codes.domain.referrals.signals import HARD, digests_of, shared
from services.codes.domain.referrals.terms import ReferralTerms
from services.codes.handlers.referrals.refusing import refuse_referral
from services.codes.store import referrals, rewards
from services.codes.store.referrals import Referral, Refund
from services.codes.store.rewards import Due, Reward


async def order_paid(core: Core, connection: Connection, envelope: Envelope, event: OrderPaid) -> None:
    """The first payment of somebody who came by a code promises rewards. An order of nothing is no payment."""
    app, user = envelope.app, envelope.subject
    now_us = await core.now_us(app)
    if event.payer_digest:
        await referrals.see(connection, app, user, digests_of(core.pepper, app, {"payer": event.payer_digest}), now_us)
    referral = await referrals.of_referee(connection, app, user, lock=True)
    if referral is None or referral.status != "bound" or not event.amount_minor:
        return
    order = Order(event.order, event.amount_minor, event.currency, parse_time(event.settled_at))
    refund = await referrals.take_refund(connection, app, order.id)
    terms = core.configs.get(app).document.referrals
    why = None if terms is None else await _promise(core, connection, referral, order, terms=terms, refund=refund)
    if terms is None or why is not None:
        await refuse_referral(core, connection, referral, why or "no_programme", cause=Cause.of(envelope))


async def _promise(
    core: Core, connection: Connection, referral: Referral, order: Order, *, terms: ReferralTerms, refund: Refund | None
) -> ReferralRefusal | None:
    """Write down what the order earns; or why it earns nothing."""
    app = referral.app
    due_at = due_at_us(order, terms)
    upper = await referrals.of_referee(connection, app, referral.referrer, lock=True)
    if upper is not None and upper.refusal in FRAUD:
        upper = None
    made = list(promises(order, terms, referral.referee, referral.referrer, None if upper is None else upper.referrer))
    if order.paid_at_us < referral.bound_at:
        return "paid_before"
    if refund is not None and refund.whole and takes_back(refund.refunded_at, due_at, terms.after_refund):
        return "order_refunded"
    if not made:
        return "no_reward"
    for promise in made:
        via = upper if promise.role == "second_level" else None
        waits = referral.review == "waiting" or (via is not None and via.review == "waiting")
        row = {
            "id": core.new_id("reward", app, promise.user),
            "app": app,
            "referral_id": referral.id,
            "role": promise.role,
            "user_id": promise.user,
            "via": None if via is None else via.id,
            "fixed": promise.fixed,
            "rate": promise.rate,
            "status": "waiting" if waits else "pending",
            "due_at": due_at,
        }
        await rewards.insert(connection, row)
    values = {
        "status": "on_hold",
        "order_id": order.id,
        "order_minor": order.amount_minor,
        "refunded_minor": refund.refunded_minor if refund is not None and refund.refunded_at < due_at else 0,
        "currency": order.currency,
        "paid_at": order.paid_at_us,
        "due_at": due_at,
        "terms": terms.model_dump_json(exclude_defaults=True),
    }
    await referrals.update(connection, referral.id, values)
    reach("referral.promised")
    return None


async def order_refunded(core: Core, connection: Connection, envelope: Envelope, event: OrderRefunded) -> None:
    """A refund within the hold makes per cent less, and one of the whole takes the rewards back; see `takes_back`."""
    referral = await referrals.of_referee(connection, envelope.app, envelope.subject, lock=True)
    if referral is None or referral.status == "refused":
        return
    refund = Refund(event.order, event.refunded_total_minor, event.whole, parse_time(event.refunded_at))
    if referral.status == "bound":
        await referrals.note_refund(connection, envelope.app, refund)
    elif referral.order_id == refund.order_id and referral.due_at is not None:
        if refund.refunded_at < referral.due_at:
            left = {"refunded_minor": max(referral.refunded_minor, refund.refunded_minor)}
            await referrals.update(connection, referral.id, left)
        terms = terms_of(core, referral)
        if refund.whole and takes_back(refund.refunded_at, referral.due_at, terms.after_refund):
            await refuse_referral(core, connection, referral, "order_refunded", cause=Cause.of(envelope))


def terms_of(core: Core, referral: Referral) -> ReferralTerms:
    """The programme as it is now; as it was at the first payment where the app has none any more."""
    present = core.configs.get(referral.app).document.referrals
    if present is not None:
        return present
    return ReferralTerms.model_validate_json(referral.terms or "")


async def pay_out(core: Core, connection: Connection, due: Due) -> None:
    """Send a reward whose hold has ended to the ledger, in the transaction that makes it sent; or refuse it."""
    referral = await referrals.locked(connection, due.app, due.referral_id)
    if referral is None:
        return
    now_us = await core.now_us(due.app)
    made = await rewards.of_referral(connection, referral.id, lock=True)
    reward = next((one for one in made if one.id == due.id), None)
    if reward is None or reward.status != "pending" or reward.due_at > now_us:
        return
    cause = Cause(correlation_id=referral.id)
    if referral.review == "none" and await _is_one_person(connection, referral, made):
        await refuse_referral(core, connection, referral, "self_referral", cause=cause)
        return
    terms = terms_of(core, referral)
    left_minor = max(0, (referral.order_minor or 0) - referral.refunded_minor)
    amount = wanted(reward.promise, left_minor, terms.decimals)
    why: RewardRefusal = "nothing_left"
    month = None
    if reward.role in LIMITED and amount:
        why = "month_limit"
        month = month_of(now_us, ZoneInfo(core.configs.get(due.app).document.zone))
        earned = await rewards.lock_month(connection, due.app, reward.user_id, month)
        amount = within_limit(amount, earned, terms.limit)
        await rewards.earn(connection, due.app, reward.user_id, month, amount)
    if amount:
        sent = dataclasses.replace(reward, amount=amount)
        command_id = await _grant(core, connection, referral, sent, terms=terms, now_us=now_us, cause=cause)
        values = {"status": "sent", "amount": amount, "month": month, "command_id": command_id}
        await rewards.update(connection, reward.id, values)
    else:
        await rewards.update(connection, reward.id, {"status": "refused", "refusal": why, "ended_at": now_us})
        said = ReferralRewardRefused(
            referral=referral.id,
            referrer=referral.referrer,
            referee=referral.referee,
            reward=reward.id,
            role=reward.role,
            why=why,
        )
        await core.outbox.add(connection, said, app=due.app, user=reward.user_id, cause=cause)
    await referrals.settle(connection, referral.id, now_us)
    reach("referral.paying")


async def _is_one_person(connection: Connection, referral: Referral, made: list[Reward]) -> bool:
    """Whether what is known by now, such as who paid, says that the referee is one of those who would earn."""
    mine = await referrals.seen_of(connection, referral.app, [referral.referee])
    earners = {one.user_id for one in made} - {referral.referee}
    theirs = await referrals.seen_of(connection, referral.app, sorted(earners | {referral.referrer}))
    return any(shared(HARD, {kind: digest}, theirs) for kind, digest in mine)


async def _grant(
    core: Core,
    connection: Connection,
    referral: Referral,
    reward: Reward,
    *,
    terms: ReferralTerms,
    now_us: int,
    cause: Cause,
) -> str:
    days = terms.expires_after_days
    assert reward.amount is not None  # noqa: S101 - it was decided just now
    command = GrantCredits(
        user=reward.user_id,
        amount=text_of(reward.amount),
        source="referral",
        scope=tuple(terms.scope),
        expires_at=None if days is None else to_datetime(now_us + days * DAY_US),
        unique_ref=reward.id,
        reference=referral.id,
        reason=f"referral_{reward.role}",
    )
    return await send_command(
        connection,
        core.outbox,
        command,
        app=reward.app,
        user=reward.user_id,
        idempotency_key=reward.id,
        cause=cause,
    )
