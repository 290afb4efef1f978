"""What becomes of a referral's rewards when it counts for nothing."""

from __future__ import annotations

from libs.events.commands import send_command
from libs.events.contracts.codes.referrals import ReferralRefused
from libs.events.contracts.ledger.commands import RevokeGrant
from libs.events.db import Connection
from libs.events.outbox import Cause
from services.codes.core import Core
from services.codes.domain.referrals.rewards import FRAUD, ReferralRefusal
from services.codes.store import referrals, rewards
from services.codes.store.referrals import Referral
from services.codes.store.rewards import Reward


async def refuse_referral(
    core: Core,
    connection: Connection,
    referral: Referral,
    why: ReferralRefusal,
    *,
    cause: Cause,
    reason: str | None = None,
) -> None:
    """It earns nothing: what is not sent is refused, and what is sent or paid is taken back. The referral is locked."""
    app = referral.app
    now_us = await core.now_us(app)
    ended = {"status": "refused", "refusal": why, "ended_at": now_us}
    await referrals.update(connection, referral.id, ended)
    for reward in await rewards.of_referral(connection, referral.id, lock=True):
        if reward.status in ("waiting", "pending"):
            await rewards.update(connection, reward.id, {**ended, "refusal": _OF_REWARD.get(why, "referral_refused")})
        elif reward.status in ("sent", "paid"):
            await take_back(core, connection, reward, cause)
    if why in FRAUD:
        await _refuse_second_level(connection, app, referral, now_us)
    said = ReferralRefused(referral=referral.id, referrer=referral.referrer, why=why, reason=reason)
    await core.outbox.add(connection, said, app=app, user=referral.referee, cause=cause)


_OF_REWARD = {"order_refunded": "order_refunded"}


async def _refuse_second_level(connection: Connection, app: str, referral: Referral, now_us: int) -> None:
    """Who did not bring somebody does not earn by those whom they brought."""
    for lower_id in await rewards.through(connection, referral.id):
        await referrals.locked(connection, app, lower_id)
        for reward in await rewards.of_referral(connection, lower_id, lock=True):
            if reward.via == referral.id and reward.status in ("waiting", "pending"):
                ended = {"status": "refused", "refusal": "upper_refused", "ended_at": now_us}
                await rewards.update(connection, reward.id, ended)
        await referrals.settle(connection, lower_id, now_us)


async def take_back(core: Core, connection: Connection, reward: Reward, cause: Cause) -> None:
    """Revoke a reward that was paid; one that is on its way as soon as it is known to be there.

    What was spent of it is settled by the app's own policy in the ledger.
    """
    if reward.grant_id is None:
        await rewards.update(connection, reward.id, {"take_back": True})
        return
    command_id = await send_command(
        connection,
        core.outbox,
        RevokeGrant(grant=reward.grant_id, unique_ref=f"revoke:{reward.id}", reason="order_refunded"),
        app=reward.app,
        user=reward.user_id,
        idempotency_key=f"revoke:{reward.id}",
        cause=cause,
    )
    await rewards.update(connection, reward.id, {"status": "revoking", "revoke_command_id": command_id})
