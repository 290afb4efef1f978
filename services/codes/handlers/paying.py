"""What payments tells of orders, and what that makes of the redemptions that were reserved for them."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.contracts.base import decode
from libs.events.contracts.payments.events import OrderEvent, OrderExpired, OrderFailed, OrderPaid, OrderRefunded
from libs.events.db import Connection
from libs.events.envelope import Envelope, parse_time
from libs.events.failpoints import reach
from libs.events.outbox import Cause
from services.codes.core import Core
from services.codes.domain.redemptions import Claim
from services.codes.domain.settling import Status
from services.codes.handlers.ending import end_redemptions
from services.codes.store import redemptions

ORDERS = "payments.order_"
"""What the types of all events of orders begin with."""


def claim_of(event: OrderEvent) -> tuple[Status, str | None] | None:
    """What an event claims of its redemptions, and why; None if nothing: what is left of a payment was bought with
    the codes."""
    match event:
        case OrderPaid():
            return "confirmed", None
        case OrderFailed():
            return "released", event.reason
        case OrderExpired():
            return "expired", None
        case OrderRefunded(whole=True):
            return "rolled_back", event.reason
        case _:
            return None


class Paying:
    """An observer that ends the redemptions of the orders that are told of, all of a transaction at once.

    At once, because their locks must be taken in one order over all of them.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def __call__(self, connection: Connection, events: Sequence[Envelope]) -> None:
        """End them in the transaction that consumes the events."""
        claims: list[Claim] = []
        causes: dict[str, Cause] = {}
        for envelope in events:
            event = decode(envelope.type, envelope.data) if envelope.type.startswith(ORDERS) else None
            if isinstance(event, OrderEvent) and event.redemptions:
                for claim in await _claims(connection, envelope.app, event):
                    claims.append(claim)
                    causes[claim.redemption_id] = Cause.of(envelope)
        if claims:
            reach("checkout.told")
            await end_redemptions(self._core, connection, claims, causes)
            reach("checkout.ended")


async def _claims(connection: Connection, app: str, event: OrderEvent) -> list[Claim]:
    claimed = claim_of(event)
    if claimed is None:
        return []
    status, reason = claimed
    ours = await redemptions.of_order(connection, app, event.checkout, event.redemptions)
    return [Claim(one, status, refusal=reason, began_us=parse_time(event.started_at)) for one in ours]
