"""Referrals, and a user's own code, as answers show them."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo

from libs.service.clock import format_time
from services.codes.api.referrals.bodies import Came
from services.codes.core import Core
from services.codes.domain.referrals.rewards import RewardStatus, month_of, text_of
from services.codes.handlers.referrals.owning import programme_of
from services.codes.store import referrals as store
from services.codes.store import rewards as rewards_store
from services.codes.store.referrals import Referral
from services.codes.store.rewards import Reward


async def own_shown(core: Core, app: str, user: str) -> dict[str, Any]:
    """What :class:`OwnAnswer` describes."""
    terms = programme_of(core, app)
    text = await store.own_code(core.pool, app, user)
    totals = await rewards_store.totals_of(core.pool, app, user)
    came = await store.counts_of(core.pool, app, user)
    month = month_of(await core.now_us(app), ZoneInfo(core.configs.get(app).document.zone))
    earned = await rewards_store.earned_in(core.pool, app, user, month)

    def sums(*statuses: RewardStatus) -> dict[str, Any]:
        found = [totals[status] for status in statuses if status in totals]
        return {
            "count": sum(count for count, _ in found),
            "credits": text_of(sum((c for _, c in found), start=0 * earned)),
        }

    return {
        "user": user,
        "code": text,
        "link": None if text is None else terms.link_of(text),
        "came": {name: came.get(name, 0) for name in Came.model_fields},
        "pending": sums("waiting", "pending", "sent"),
        "paid": sums("paid"),
        "refused": sums("refused", "revoking", "revoked"),
        "this_month": {
            "month": month,
            "earned": text_of(earned),
            "left": text_of(max(0 * earned, terms.limit - earned)),
        },
    }


def shown(referral: Referral, made: list[Reward]) -> dict[str, Any]:
    """What :class:`ReferralAnswer` describes."""
    return {
        "id": referral.id,
        "referee": referral.referee,
        "referrer": referral.referrer,
        "code": referral.code_id,
        "status": referral.status,
        "review": referral.review,
        "flags": list(referral.flags),
        "refusal": referral.refusal,
        "bound_at": format_time(referral.bound_at),
        "bound_by": referral.bound_by,
        "order": referral.order_id,
        "paid_at": _time(referral.paid_at),
        "due_at": _time(referral.due_at),
        "reviewed_at": _time(referral.reviewed_at),
        "reviewed_by": referral.reviewed_by,
        "review_reason": referral.review_reason,
        "ended_at": _time(referral.ended_at),
        "rewards": [
            {
                "id": reward.id,
                "role": reward.role,
                "user": reward.user_id,
                "status": reward.status,
                "amount": None if reward.amount is None else text_of(reward.amount),
                "due_at": format_time(reward.due_at),
                "refusal": reward.refusal,
                "grant": reward.grant_id,
            }
            for reward in made
        ],
    }


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_time(time_us)
