"""What the ledger answered to the commands for credits, and what that makes of their redemptions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import orjson

from libs.events.commands import Outcome
from libs.events.contracts.ledger.events import CommandRefused, CommandRepeated
from libs.events.db import Connection
from libs.events.failpoints import reach
from libs.events.outbox import Cause
from services.codes.core import SOURCE, Core
from services.codes.domain.redemptions import Claim, Redemption
from services.codes.handlers.ending import end_redemptions, lock_redemptions
from services.codes.handlers.granting import send_revoke
from services.codes.store import redemptions

SIDE_EVENTS = frozenset({"ledger.account_opened.v1"})
"""Events that tell what happened beside an outcome."""


async def settle(core: Core, connection: Connection, outcomes: Mapping[str, Outcome]) -> list[Redemption]:
    """End the redemptions that wait for these outcomes, by command id; harmless where it was done before."""
    sent = await redemptions.by_commands(connection, list(outcomes))
    if not sent:
        return []
    reach("redemption.answered")
    cause = Cause(actor=f"service:{SOURCE}")
    paid = [one.id for one in sent if one.checkout is not None]
    if paid:
        # Locked together with the others, because there is one order over all.
        await lock_redemptions(connection, [one.id for one in sent])
        for redemption_id in paid:
            await _note(core, connection, redemption_id, outcomes, cause)
    claims = [claim_of(one.id, outcomes[one.command_id]) for one in sent if one.waiting and one.command_id is not None]
    ended = await end_redemptions(core, connection, claims, cause)
    reach("redemption.settled")
    return ended


async def _note(
    core: Core, connection: Connection, redemption_id: str, outcomes: Mapping[str, Outcome], cause: Cause
) -> None:
    """Write down what the ledger told of the credits of a checkout, which was paid or refunded whatever it says.

    Credits of a checkout that was refunded before they were known to be granted are asked back now.
    """
    (redemption,) = await redemptions.by_ids(connection, [redemption_id])
    granted = outcomes.get(redemption.command_id or "")
    if granted is not None and redemption.granted is None:
        claim = claim_of(redemption.id, granted)
        told = {**(claim.granted or {}), **({} if claim.refusal is None else {"refusal": claim.refusal})}
        redemption = replace(redemption, granted=told)
        if redemption.status == "rolled_back" and redemption.grant is not None and redemption.revoke_id is None:
            revoke_id = await send_revoke(core, connection, redemption, redemption.grant, cause)
            redemption = replace(redemption, revoke_id=revoke_id)
        await redemptions.update_ended(connection, redemption)
    revoked = outcomes.get(redemption.revoke_id or "")
    if revoked is not None:
        await redemptions.note_revoked(connection, redemption.id, {"type": revoked.type, **orjson.loads(revoked.data)})


def claim_of(redemption_id: str, outcome: Outcome) -> Claim:
    """A grant, now or before, confirms the redemption; a refusal gives its use back, with the ledger's reason."""
    data = orjson.loads(outcome.data)
    if outcome.type == CommandRefused.TYPE:
        granted = {"status": data["status"], "detail": data["detail"]}
        return Claim(redemption_id, "released", granted=granted, refusal=data["code"], outcome=True)
    grant = data.get("first") if outcome.type == CommandRepeated.TYPE else data.get("lot", {}).get("grant")
    return Claim(redemption_id, "confirmed", granted={"grant": grant, "event": outcome.event_id}, outcome=True)
