"""What the ledger answered to the commands for credits, and what that makes of their redemptions."""

from __future__ import annotations

from collections.abc import Mapping

import orjson

from libs.events.commands import Outcome
from libs.events.contracts.ledger.events import CommandRefused, CommandRepeated
from libs.events.db import Connection
from libs.events.failpoints import reach
from libs.events.outbox import Cause
from services.codes.core import SOURCE, Core
from services.codes.domain.redemptions import Claim, Redemption
from services.codes.handlers.ending import end_redemptions
from services.codes.store import redemptions

SIDE_EVENTS = frozenset({"ledger.account_opened.v1"})
"""Events that tell what happened beside an outcome."""


async def settle(core: Core, connection: Connection, outcomes: Mapping[str, Outcome]) -> list[Redemption]:
    """End the redemptions that wait for these outcomes, by command id; harmless where it was done before."""
    waiting = await redemptions.by_commands(connection, list(outcomes))
    if not waiting:
        return []
    reach("redemption.answered")
    claims = [claim_of(redemption_id, outcomes[command]) for command, redemption_id in waiting.items()]
    ended = await end_redemptions(core, connection, claims, Cause(actor=f"service:{SOURCE}"))
    reach("redemption.settled")
    return ended


def claim_of(redemption_id: str, outcome: Outcome) -> Claim:
    """A grant, now or before, confirms the redemption; a refusal gives its use back, with the ledger's reason."""
    data = orjson.loads(outcome.data)
    if outcome.type == CommandRefused.TYPE:
        granted = {"status": data["status"], "detail": data["detail"]}
        return Claim(redemption_id, "released", granted=granted, refusal=data["code"], outcome=True)
    grant = data.get("first") if outcome.type == CommandRepeated.TYPE else data.get("lot", {}).get("grant")
    return Claim(redemption_id, "confirmed", granted={"grant": grant, "event": outcome.event_id}, outcome=True)
