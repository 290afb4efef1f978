"""Somebody looks at a referral, and lets it earn or does not."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.contracts.codes.referrals import ReferralApproved
from libs.events.db import Connection
from libs.events.outbox import Cause
from services.codes.core import Core
from services.codes.domain.referrals.rewards import Review
from services.codes.handlers.referrals.problems import ReferralNotFlagged, ReferralNotFound, ReferralResolved
from services.codes.handlers.referrals.refusing import refuse_referral
from services.codes.store import referrals, rewards
from services.codes.store.referrals import Referral


@dataclass(frozen=True, slots=True)
class Verdict:
    """What somebody (the cause's actor) decides about a referral, and why."""

    app: str
    referral_id: str
    reason: str
    cause: Cause


async def approve(core: Core, connection: Connection, verdict: Verdict) -> Referral:
    """Let a flagged referral earn; once is enough."""
    referral = await _locked(connection, verdict)
    if referral.status == "refused":
        raise ReferralResolved(f"It was refused: {referral.refusal}.")
    if referral.review == "none":
        raise ReferralNotFlagged
    if referral.review == "waiting":
        await _note(core, connection, referral, verdict, review="approved")
        await rewards.release(connection, referral.id)
        said = ReferralApproved(referral=referral.id, referrer=referral.referrer, reason=verdict.reason)
        await core.outbox.add(connection, said, app=verdict.app, user=referral.referee, cause=verdict.cause)
    return await referrals.by_id(connection, referral.id)


async def refuse(core: Core, connection: Connection, verdict: Verdict) -> Referral:
    """Refuse a referral, flagged or not, of which nothing was sent to the ledger yet."""
    referral = await _locked(connection, verdict)
    if referral.status == "refused":
        if referral.refusal != "by_manager":
            raise ReferralResolved(f"It was refused: {referral.refusal}.")
        return referral
    made = await rewards.of_referral(connection, referral.id, lock=True)
    if any(one.status not in ("waiting", "pending") for one in made):
        raise ReferralResolved("A reward of it was decided on.")
    await _note(core, connection, referral, verdict, review=referral.review)
    await refuse_referral(core, connection, referral, "by_manager", cause=verdict.cause, reason=verdict.reason)
    return await referrals.by_id(connection, referral.id)


async def _locked(connection: Connection, verdict: Verdict) -> Referral:
    referral = await referrals.locked(connection, verdict.app, verdict.referral_id)
    if referral is None:
        raise ReferralNotFound
    return referral


async def _note(core: Core, connection: Connection, referral: Referral, verdict: Verdict, *, review: Review) -> None:
    values = {
        "review": review,
        "reviewed_at": await core.now_us(verdict.app),
        "reviewed_by": verdict.cause.actor,
        "review_reason": verdict.reason,
    }
    await referrals.update(connection, referral.id, values)
