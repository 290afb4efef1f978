"""How redemptions end: one function for the ledger's outcomes, endpoints, payments and timers alike.

Several are ended at once in one transaction, with locks in the same order as reserving: campaigns, codes, customers,
each by their ids, then the redemptions. What was ended before in the same way, or in one that stands, is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal

from libs.events.contracts.codes.events import (
    RedemptionConfirmed,
    RedemptionEvent,
    RedemptionExpired,
    RedemptionReleased,
    RedemptionRolledBack,
)
from libs.events.db import Connection
from libs.events.outbox import Cause
from services.codes.core import Core
from services.codes.domain.redemptions import Claim, Redemption
from services.codes.domain.settling import Status, counted, settled
from services.codes.handlers.telling import facts_of
from services.codes.store import codes, redemptions


async def end_redemptions(
    core: Core, connection: Connection, claims: Sequence[Claim], cause: Cause
) -> list[Redemption]:
    """Settle what is claimed, each redemption once; all of them as they stand after that."""
    claimed = {claim.redemption_id: claim for claim in claims}
    present = await lock_redemptions(connection, list(claimed))
    moves: dict[tuple[str, str], tuple[int, int]] = {}
    budgets: dict[str, list[tuple[Status, Status, Redemption]]] = {}
    after: list[Redemption] = []
    for redemption in present:
        claim = claimed[redemption.id]
        status = settled(redemption.status, claim.status)
        if status == redemption.status or (redemption.waiting and not claim.outcome):
            after.append(redemption)
            continue
        ended = replace(
            redemption,
            status=status,
            granted=claim.granted or redemption.granted,
            refusal=claim.refusal,
            ended_at=await core.now_us(redemption.app),
        )
        pair = (redemption.code_id, redemption.user_id)
        reserved, redeemed = moves.get(pair, (0, 0))
        moves[pair] = (
            reserved + _is(status, "reserved") - _is(redemption.status, "reserved"),
            redeemed + _is(status, "redeemed") - _is(redemption.status, "redeemed"),
        )
        if redemption.campaign_id is not None:
            budgets.setdefault(redemption.campaign_id, []).append((redemption.status, status, redemption))
        await redemptions.update_ended(connection, ended)
        await core.outbox.add(connection, _event_of(ended), app=ended.app, user=ended.user_id, cause=cause)
        after.append(ended)
    if moves:
        await redemptions.move_uses(connection, moves)
    for campaign_id, changes in budgets.items():
        await _move_budget(connection, campaign_id, changes)
    return after


async def lock_redemptions(connection: Connection, ids: Sequence[str]) -> list[Redemption]:
    """Lock these redemptions, and before them what they count for; those that there are, by their ids."""
    seen = await redemptions.by_ids(connection, ids)
    await codes.lock_campaigns(connection, sorted({one.campaign_id for one in seen if one.campaign_id is not None}))
    await codes.lock_codes(connection, sorted({one.code_id for one in seen}))
    await codes.lock_users(connection, sorted({(one.code_id, one.user_id) for one in seen}))
    return await redemptions.by_ids(connection, ids, lock=True)


def _is(status: Status, count: str) -> int:
    return int(counted(status) == count)


async def _move_budget(
    connection: Connection, campaign_id: str, changes: Sequence[tuple[Status, Status, Redemption]]
) -> None:
    lots = {"reserved": Decimal(0), "redeemed": Decimal(0)}
    minor = {"reserved": 0, "redeemed": 0}
    for before, after, redemption in changes:
        for status, sign in ((before, -1), (after, 1)):
            count = counted(status)
            if count is not None:
                lots[count] += sign * (redemption.amount or 0)
                minor[count] += sign * (redemption.discount_minor or 0)
    await redemptions.move_budget(
        connection,
        campaign_id,
        reserved=lots["reserved"],
        spent=lots["redeemed"],
        reserved_minor=minor["reserved"],
        spent_minor=minor["redeemed"],
    )


def _event_of(ended: Redemption) -> RedemptionEvent:
    facts = facts_of(ended)
    match ended.status:
        case "confirmed":
            return RedemptionConfirmed(**facts, grant=None if ended.granted is None else ended.granted.get("grant"))
        case "released":
            return RedemptionReleased(**facts, reason=ended.refusal or "released")
        case "rolled_back":
            return RedemptionRolledBack(**facts, reason=ended.refusal or "rolled_back")
        case _:
            return RedemptionExpired(**facts)
