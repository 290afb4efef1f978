"""Somebody looks at a referral, and lets it earn or does not."""

from __future__ import annotations

from libs.events.contracts.codes.referrals import ReferralApproved
from libs.events.db import Connection
from libs.events.outbox import Cause
from services.codes.core import Core
from services.codes.handlers.referrals.problems import ReferralNotFlagged, ReferralNotFound, ReferralResolved
from services.codes.handlers.referrals.refusing import refuse_referral
from services.codes.store import referrals, rewards
from services.codes.store.referrals import Referral


async def approve(
    core: Core, connection: Connection, app: str, referral_id: str, reason: str, cause: Cause
) -> Referral:
    """Let a flagged referral earn; once is enough."""
    referral = await _locked(connection, app, referral_id)
    if referral.status == "refused":
        raise ReferralResolved(f"It was refused: {referral.refusal}.")
    if referral.review == "none":
        raise ReferralNotFlagged
    if referral.review == "waiting":
        await _note(core, connection, referral, reason, cause, review="approved")
        await rewards.release(connection, referral.id)
        said = ReferralApproved(referral=referral.id, referrer=referral.referrer, reason=reason)
        await core.outbox.add(connection, said, app=app, user=referral.referee, cause=cause)
    return await referrals.by_id(connection, referral.id)


async def refuse(
    core: Core, connection: Connection, app: str, referral_id: str, reason: str, cause: Cause
) -> Referral:
    """Refuse a referral, flagged or not, of which nothing was sent to the ledger yet."""
    referral = await _locked(connection, app, referral_id)
    if referral.status == "refused":
        if referral.refusal != "by_manager":
            raise ReferralResolved(f"It was refused: {referral.refusal}.")
        return referral
    made = await rewards.of_referral(connection, referral.id, lock=True)
    if any(one.status not in ("waiting", "pending") for one in made):
        raise ReferralResolved("A reward of it was decided on.")
    await _note(core, connection, referral, reason, cause, review=referral.review)
    await refuse_referral(core, connection, referral, "by_manager", cause, reason)
    return await referrals.by_id(connection, referral.id)


async def _locked(connection: Connection, app: str, referral_id: str) -> Referral:
    referral = await referrals.locked(connection, app, referral_id)
    if referral is None:
        raise ReferralNotFound
    return referral


async def _note(
    core: Core, connection: Connection, referral: Referral, reason: str, cause: Cause, *, review: str
) -> None:
    values = {
        "review": review,
        "reviewed_at": await core.now_us(referral.app),
        "reviewed_by": cause.actor,
        "review_reason": reason,
    }
    await referrals.update(connection, referral.id, values)
