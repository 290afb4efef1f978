"""What the service hears: the events of the ledger and of payments."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.bus import Bus
from libs.events.commands import Outcome, OutcomeRecorder
from libs.events.consumer import Consumer, Handler, Subscription
from libs.events.contracts.base import Contract
from libs.events.contracts.ledger.events import AccountOpened
from libs.events.contracts.payments.events import OrderPaid
from libs.events.db import Connection
from libs.events.envelope import Envelope, parse_time
from libs.events.feed import Feed
from services.codes.core import LEDGER_EVENTS, PAYMENTS_EVENTS, SOURCE, Core
from services.codes.handlers.outcomes import SIDE_EVENTS, settle
from services.codes.handlers.paying import Paying
from services.codes.handlers.referrals.hearing import Referring
from services.codes.handlers.revenue import note_revenue
from services.codes.store import customers


class Settling:
    """An observer that settles the redemptions whose outcomes are told, all of a transaction at once.

    At once, because their locks must be taken in one order over all of them.
    """

    def __init__(self, core: Core) -> None:
        self._core = core

    async def __call__(self, connection: Connection, events: Sequence[Envelope]) -> None:
        """Settle in the transaction that consumes the events."""
        outcomes: dict[str, Outcome] = {}
        for event in events:
            if event.causation_id is not None and event.type not in SIDE_EVENTS:
                command_id = event.causation_id
                outcomes.setdefault(command_id, Outcome(command_id, event.id, event.type, event.data))
        if outcomes:
            await settle(self._core, connection, outcomes)


async def on_account_opened(connection: Connection, envelope: Envelope, _event: AccountOpened) -> None:
    """Remember since when somebody is there."""
    await customers.note_opened(connection, envelope.app, envelope.subject, envelope.time_us)


async def on_order_paid(connection: Connection, envelope: Envelope, event: OrderPaid) -> None:
    """Remember since when somebody has been paying. What becomes of the order's codes is seen to by :class:`Paying`."""
    await customers.note_paid(connection, envelope.app, envelope.subject, parse_time(event.settled_at))


ON: dict[type[Contract], Handler] = {AccountOpened: on_account_opened, OrderPaid: on_order_paid}


def consumer_of(core: Core, bus: Bus, ledger: Feed, payments: Feed | None = None) -> Consumer:
    """The consumer of the service, by the feeds of those it hears; one process at a time runs it."""
    partitions = range(core.settings.partitions)
    subscriptions = [Subscription("ledger", LEDGER_EVENTS, partitions, ledger)]
    if payments is not None:
        subscriptions.append(Subscription("payments", PAYMENTS_EVENTS, partitions, payments))
    return Consumer(
        SOURCE,
        core.pool,
        bus,
        subscriptions,
        ON,
        observers=[OutcomeRecorder(SIDE_EVENTS), Settling(core), Paying(core), Referring(core), note_revenue],
        outbox=core.outbox,
    )
