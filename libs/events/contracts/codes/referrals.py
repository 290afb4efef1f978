"""What the codes service tells of referrals: who was brought by whom, and what came of it.

The subject of a referral's events is the one who was brought, that of a reward's the one who gets it. Credits are
decimal strings.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from libs.events.contracts.base import Event, contract
from libs.events.contracts.ledger.fields import Credits

Short = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
"""A short name that programs compare: a flag, a reason. Readers must pass over one they don't know."""

Flags = Annotated[tuple[Short, ...], Field(max_length=20)]
RewardRole = Literal["referrer", "referee", "second_level"]


class ReferralEvent(Event):
    """What every event of a referral says: its id, and by whom the subject came."""

    referral: str
    referrer: str


@contract("codes.referral_bound.v1")
class ReferralBound(ReferralEvent):
    """Somebody came by a personal code (its id); `flags` are soft signals against it."""

    code: str
    flags: Flags = ()


@contract("codes.referral_flagged.v1")
class ReferralFlagged(ReferralEvent):
    """So many signals speak against it that it earns nothing until somebody has approved it."""

    flags: Flags


@contract("codes.referral_approved.v1")
class ReferralApproved(ReferralEvent):
    """Somebody (the event's actor) has looked at a flagged referral and lets it earn, for the `reason` given."""

    reason: str


@contract("codes.referral_refused.v1")
class ReferralRefused(ReferralEvent):
    """It earns nothing any more: why in short, and where a person refused it (the event's actor), in their words."""

    why: Short
    reason: str | None = None


class RewardEvent(ReferralEvent):
    """What every event of a reward says: its id, whom the referral brought, and in which role the subject gets it."""

    referee: str
    reward: str
    role: RewardRole


@contract("codes.referral_rewarded.v1")
class ReferralRewarded(RewardEvent):
    """The credits of a reward were granted; `grant` is the ledger's."""

    amount: Credits
    grant: str


@contract("codes.referral_reward_refused.v1")
class ReferralRewardRefused(RewardEvent):
    """A reward is not paid: the month's limit is reached, nothing is left of the order, or the ledger refused it."""

    why: Short


@contract("codes.referral_reward_revoked.v1")
class ReferralRewardRevoked(RewardEvent):
    """A reward that was paid was taken back, because the order that earned it was refunded."""

    amount: Credits
    grant: str
