"""How redemptions end: one function for the ledger's outcomes, endpoints, payments and timers alike.

Several are ended at once in one transaction, with locks in the same order as reserving: campaigns, codes, customers,
each by their ids, then the redemptions. What was ended before in the same way, or in one that stands, is left alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from libs.events.contracts.codes.events import (
    RedemptionConfirmed,
    RedemptionEvent,
    RedemptionExpired,
    RedemptionReleased,
    RedemptionRolledBack,
)
from libs.events.db import Connection
from libs.events.failpoints import reach
from libs.events.outbox import Cause
from libs.service.clock import SECOND_US
from services.codes import metrics
from services.codes.core import Core
from services.codes.domain.codes import Code
from services.codes.domain.redemptions import Claim, Redemption
from services.codes.domain.settling import Status, counted
from services.codes.domain.specs import DAY_S
from services.codes.handlers.granting import send_grant, send_revoke
from services.codes.handlers.telling import facts_of
from services.codes.store import codes, entitlements, redemptions
from services.codes.store.entitlements import Entitlement


async def end_redemptions(
    core: Core, connection: Connection, claims: Sequence[Claim], cause: Cause | Mapping[str, Cause]
) -> list[Redemption]:
    """Settle what is claimed; the redemptions as they stand after that, by their ids.

    `cause` is one for all, or each one's by its id.
    """
    claimed: dict[str, list[Claim]] = {}
    for claim in claims:
        claimed.setdefault(claim.redemption_id, []).append(claim)
    present, known = await lock_redemptions(connection, list(claimed))
    moves = _Moves()
    after: list[Redemption] = []
    for redemption in present:
        ended = _ended(redemption, claimed[redemption.id])
        if ended.status != redemption.status:
            ended = replace(ended, ended_at=await core.now_us(redemption.app))
            moves.add(redemption, ended.status)
            why = cause if isinstance(cause, Cause) else cause[redemption.id]
            ended = await _follow(core, connection, ended, known[redemption.code_id], why)
            await redemptions.update_ended(connection, ended)
            await core.outbox.add(connection, _event_of(ended), app=ended.app, user=ended.user_id, cause=why)
            metrics.REDEMPTIONS.labels(ended.kind, ended.status).inc()
        after.append(ended)
    await moves.make(connection)
    reach("redemption.ended")
    return after


async def lock_redemptions(connection: Connection, ids: Sequence[str]) -> tuple[list[Redemption], dict[str, Code]]:
    """Lock these redemptions, and before them what they count for; those that there are, by their ids, and codes."""
    seen = await redemptions.by_ids(connection, ids)
    await codes.lock_campaigns(connection, sorted({one.campaign_id for one in seen if one.campaign_id is not None}))
    known = await codes.lock_codes(connection, sorted({one.code_id for one in seen}))
    await codes.lock_users(connection, sorted({(one.code_id, one.user_id) for one in seen}))
    return await redemptions.by_ids(connection, ids, lock=True), known


def _ended(redemption: Redemption, claims: Sequence[Claim]) -> Redemption:
    """The redemption after all that is claimed of it. It is late when its use had been given back before."""
    for claim in claims:
        status = redemption.after(claim)
        if status != redemption.status:
            redemption = replace(
                redemption,
                status=status,
                granted=claim.granted or redemption.granted,
                refusal=claim.refusal,
                late=redemption.late or (status == "confirmed" and redemption.status != "reserved"),
            )
    return redemption


async def _follow(core: Core, connection: Connection, ended: Redemption, code: Code, cause: Cause) -> Redemption:
    """What an end brings with it: credits that are asked for, or for them back, and the entitlement that it leaves."""
    if ended.checkout is None:
        if ended.status == "confirmed" and code.terms.discount is not None:
            entitlement = await _leave(core, connection, ended, code)
            ended = replace(ended, entitlement_id=entitlement.id)
        return ended
    if ended.status == "confirmed" and ended.amount is not None and ended.command_id is None:
        command_id = await send_grant(core, connection, ended, code, cause)
        return replace(ended, command_id=command_id)
    if ended.status == "rolled_back" and ended.grant is not None:
        # One whose grant is not known yet is asked back when the ledger tells of it.
        return replace(ended, revoke_id=await send_revoke(core, connection, ended, ended.grant, cause))
    return ended


async def _leave(core: Core, connection: Connection, ended: Redemption, code: Code) -> Entitlement:
    assert code.terms.discount is not None  # noqa: S101 - it is what is left
    now_us = await core.now_us(ended.app)
    days = core.configs.get(ended.app).document.codes.entitlement_days
    entitlement = Entitlement(
        id=core.new_id("entitlement", ended.app, ended.user_id),
        app=ended.app,
        redemption_id=ended.id,
        code_id=code.id,
        user_id=ended.user_id,
        status="available",
        created_at=now_us,
        ends_at=now_us + days * DAY_S * SECOND_US,
        discount=code.terms.discount,
    )
    await entitlements.insert(connection, entitlement)
    return entitlement


@dataclass(slots=True)
class _Moves:
    """What the counters of locked rows move by, when redemptions no longer count as they did."""

    uses: dict[tuple[str, str], list[int]] = field(default_factory=dict)
    balances: dict[str, Decimal] = field(default_factory=dict)
    budgets: dict[str, list[tuple[Status, Status, Redemption]]] = field(default_factory=dict)
    entitlements: set[str] = field(default_factory=set)

    def add(self, before: Redemption, status: Status) -> None:
        """Take up that a redemption now has `status`."""
        if before.is_use:
            moved = self.uses.setdefault((before.code_id, before.user_id), [0, 0])
            for place, count in enumerate(("reserved", "redeemed")):
                moved[place] += (counted(status) == count) - (counted(before.status) == count)
        elif before.entitlement_id is not None:
            self.entitlements.add(before.entitlement_id)
        if before.balance is not None and before.amount is not None and counted(status) is None:
            self.balances[before.code_id] = self.balances.get(before.code_id, Decimal(0)) + before.amount
        if before.campaign_id is not None:
            self.budgets.setdefault(before.campaign_id, []).append((before.status, status, before))

    async def make(self, connection: Connection) -> None:
        """Move them."""
        if self.uses:
            await redemptions.move_uses(connection, self.uses)
        if self.balances:
            await redemptions.move_balances(connection, self.balances)
        if self.entitlements:
            await entitlements.refresh(connection, sorted(self.entitlements))
        for campaign_id, changes in self.budgets.items():
            await _move_budget(connection, campaign_id, changes)


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
            return RedemptionConfirmed(**facts, grant=ended.grant, late=ended.late)
        case "released":
            return RedemptionReleased(**facts, reason=ended.refusal or "released")
        case "rolled_back":
            return RedemptionRolledBack(**facts, reason=ended.refusal or "rolled_back")
        case _:
            return RedemptionExpired(**facts)
