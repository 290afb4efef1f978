"""What is heard of referrals: the orders of who was brought, and what the ledger made of their rewards."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.contracts.base import decode
from libs.events.contracts.ledger.events.app import CommandRefused, CommandRepeated
from libs.events.contracts.ledger.events.balances import CreditsGranted, GrantRevoked
from libs.events.contracts.payments.events import OrderPaid, OrderRefunded
from libs.events.db import Connection
from libs.events.envelope import Envelope
from services.codes.core import Core
from services.codes.handlers.referrals.earning import order_paid, order_refunded
from services.codes.handlers.referrals.outcomes import outcome
from services.codes.store import rewards

_ORDERS = frozenset({OrderPaid.TYPE, OrderRefunded.TYPE})


class Referring:
    """An observer that lets referrals go on by what is told, in the transaction that consumes it."""

    def __init__(self, core: Core) -> None:
        self._core = core

    async def __call__(self, connection: Connection, events: Sequence[Envelope]) -> None:
        """Take the events in their order; of the ledger's, those that answer a command of a reward."""
        causes = [event.causation_id for event in events if event.causation_id is not None]
        ours = await rewards.waited_for(connection, causes) if causes else set()
        for envelope in events:
            if envelope.type not in _ORDERS and envelope.causation_id not in ours:
                continue
            match decode(envelope.type, envelope.data):
                case OrderPaid() as paid:
                    await order_paid(self._core, connection, envelope, paid)
                case OrderRefunded() as refunded:
                    await order_refunded(self._core, connection, envelope, refunded)
                case CreditsGranted() | GrantRevoked() | CommandRefused() | CommandRepeated() as answer:
                    await outcome(self._core, connection, envelope, answer)
                case _:
                    pass
