"""What the ledger told of rewards."""

from __future__ import annotations

from typing import Any

from libs.events.contracts.codes.referrals import (
    ReferralRewarded,
    ReferralRewardRefused,
    ReferralRewardRevoked,
    RewardEvent,
)
from libs.events.contracts.ledger.events.app import CommandRefused, CommandRepeated
from libs.events.contracts.ledger.events.balances import CreditsGranted, GrantRevoked
from libs.events.db import Connection
from libs.events.envelope import Envelope
from libs.events.failpoints import reach
from libs.events.outbox import Cause
from services.codes.core import Core
from services.codes.domain.referrals.rewards import text_of
from services.codes.handlers.referrals.refusing import take_back
from services.codes.store import referrals, rewards
from services.codes.store.rewards import Reward

Outcome = CreditsGranted | GrantRevoked | CommandRefused | CommandRepeated


async def outcome(core: Core, connection: Connection, envelope: Envelope, event: Outcome) -> None:
    """An event that answers a command of ours ends what waited for it, once; others are passed over."""
    command_id = envelope.causation_id
    reward = None if command_id is None else await rewards.by_command(connection, command_id)
    if reward is None:
        return
    if command_id == reward.command_id and reward.status == "sent":
        await _granted(core, connection, reward, event, Cause.of(envelope))
    elif command_id == reward.revoke_command_id and reward.status == "revoking":
        await _revoked(core, connection, reward, event, Cause.of(envelope))
    reach("referral.answered")


async def _granted(core: Core, connection: Connection, reward: Reward, event: Outcome, cause: Cause) -> None:
    now_us = await core.now_us(reward.app)
    if isinstance(event, CommandRefused):
        if reward.month is not None and reward.amount is not None:
            await rewards.earn(connection, reward.app, reward.user_id, reward.month, -reward.amount)
        ended = {"status": "refused", "refusal": "by_ledger", "ended_at": now_us}
        await rewards.update(connection, reward.id, ended)
        await _tell(core, connection, reward, cause, ReferralRewardRefused, why=event.code)
        return
    grant_id = event.lot.grant if isinstance(event, CreditsGranted) else _first(event)
    await rewards.update(connection, reward.id, {"status": "paid", "grant_id": grant_id, "ended_at": now_us})
    await _tell(core, connection, reward, cause, ReferralRewarded, amount=_text(reward), grant=grant_id)
    if reward.take_back:
        paid = await rewards.by_id(connection, reward.id)
        await take_back(core, connection, paid, cause)


async def _revoked(core: Core, connection: Connection, reward: Reward, event: Outcome, cause: Cause) -> None:
    if isinstance(event, CommandRefused):
        # Such as by a policy that takes nothing of what was spent: it stays where it is.
        await rewards.update(connection, reward.id, {"status": "paid", "refusal": "by_ledger"})
        return
    await rewards.update(connection, reward.id, {"status": "revoked", "ended_at": await core.now_us(reward.app)})
    said = {"amount": _text(reward), "grant": reward.grant_id}
    await _tell(core, connection, reward, cause, ReferralRewardRevoked, **said)


def _first(event: Outcome) -> str:
    """What the command made when it was done before."""
    assert isinstance(event, CommandRepeated)  # noqa: S101 - nothing else answers a grant
    return event.first


def _text(reward: Reward) -> str:
    assert reward.amount is not None  # noqa: S101 - it was sent with one
    return text_of(reward.amount)


async def _tell(
    core: Core, connection: Connection, reward: Reward, cause: Cause, kind: type[RewardEvent], **said: Any
) -> None:
    referral = await referrals.by_id(connection, reward.referral_id)
    event = kind(
        referral=referral.id,
        referrer=referral.referrer,
        referee=referral.referee,
        reward=reward.id,
        role=reward.role,
        **said,
    )
    await core.outbox.add(connection, event, app=reward.app, user=reward.user_id, cause=cause)
