"""What payments tells of orders with codes, for statistics: the money that came by a code."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.contracts.base import decode
from libs.events.contracts.payments.events import OrderPaid, OrderRefunded
from libs.events.db import Connection
from libs.events.envelope import Envelope, parse_time
from services.codes.store import revenue


async def note_revenue(connection: Connection, events: Sequence[Envelope]) -> None:
    """Note what was paid, and what went back, in the transaction that consumes the events."""
    for envelope in events:
        if envelope.type not in (OrderPaid.TYPE, OrderRefunded.TYPE):
            continue
        event = decode(envelope.type, envelope.data)
        if isinstance(event, OrderPaid) and event.redemptions:
            await revenue.note(
                connection,
                envelope.app,
                event.order,
                event.redemptions,
                event.currency,
                paid_minor=event.amount_minor,
                paid_at=parse_time(event.settled_at),
            )
        elif isinstance(event, OrderRefunded) and event.redemptions:
            await revenue.note(
                connection,
                envelope.app,
                event.order,
                event.redemptions,
                event.currency,
                refunded_minor=event.refunded_total_minor,
            )
