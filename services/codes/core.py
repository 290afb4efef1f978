"""What a process of the service is made of, as its doors, consumers and jobs see it."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.ids import Ids, UlidSource
from libs.events.outbox import Outbox
from libs.events.partition import partition_of
from libs.service.clock import Clock, TestClocks
from libs.service.configs import Configs
from libs.service.db import Pool
from services.codes.domain import texts
from services.codes.domain.specs import ConfigDocument
from services.codes.settings import CodesSettings

SOURCE = "codes"
EVENTS_TOPIC = "codes.events"
LEDGER_EVENTS = "ledger.events"
LEDGER_COMMANDS = "ledger.commands"
PAYMENTS_EVENTS = "payments.events"
ANYBODY = "@app"
"""Whose partition ids of things have that belong to no user."""


@dataclass(slots=True)
class Core:
    """One process."""

    settings: CodesSettings
    clock: Clock
    pool: Pool
    configs: Configs[ConfigDocument]
    clocks: TestClocks
    outbox: Outbox
    pepper: bytes
    ulids: UlidSource

    async def now_us(self, app: str) -> int:
        """The time by which the app lives, microseconds since the epoch."""
        if self.clocks.in_test_mode(app):
            # Another process may have put it forward.
            await self.clocks.load()
        return self.clocks.now_us(app)

    def new_id(self, word: str, app: str, user: str = ANYBODY) -> str:
        """A new id of something of a user, or of the app."""
        partition = partition_of(app, user, self.settings.partitions)
        return Ids(self.ulids, partition, self.clock.now_us()).new(word)

    def digest(self, app: str, text: str) -> bytes:
        """What a code of this text is found by."""
        return texts.digest(self.pepper, app, text)
