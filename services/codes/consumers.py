"""What the service hears: the ledger's events."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.bus import Bus
from libs.events.commands import Outcome, OutcomeRecorder
from libs.events.consumer import Consumer, Handler, Subscription
from libs.events.contracts.base import Contract
from libs.events.contracts.ledger.events import AccountOpened
from libs.events.db import Connection
from libs.events.envelope import Envelope
from services.codes.core import LEDGER_EVENTS, SOURCE, Core
from services.codes.handlers.outcomes import SIDE_EVENTS, settle
from services.codes.handlers.referrals.hearing import Referring
from services.codes.ledger import Ledger
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


ON: dict[type[Contract], Handler] = {AccountOpened: on_account_opened}


def consumer_of(core: Core, bus: Bus, ledger: Ledger) -> Consumer:
    """The consumer of the service; one process at a time runs it."""
    partitions = range(core.settings.partitions)
    return Consumer(
        SOURCE,
        core.pool,
        bus,
        [Subscription("ledger", LEDGER_EVENTS, partitions, ledger.feed)],
        ON,
        observers=[OutcomeRecorder(SIDE_EVENTS), Settling(core), Referring(core)],
        outbox=core.outbox,
    )
