"""How a consumer's events take effect: decoded, handled and checkpointed in one transaction."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from libs.events.contracts.base import decode, model_of
from libs.events.db import Connection, Pool
from libs.events.envelope import Envelope
from libs.events.outbox import Outbox
from libs.events.upcasters import newest

Handler = Callable[[Connection, Envelope, Any], Awaitable[None]]
"""Gets the transaction's connection, the envelope, and the event as an instance of its contract."""

Observer = Callable[[Connection, Sequence[Envelope]], Awaitable[None]]
"""Sees all events of a transaction, whatever their type."""

Rebuild = Callable[[Connection, str, str, int, int], Awaitable[None]]
"""Gets (connection, source, topic, partition, forked_at): undo or rebuild what was made of events after `forked_at`."""


@dataclass(frozen=True, slots=True)
class Times:
    """A consumer's patience. Seconds, except for counts and bytes.

    `silence_s`: how long to hear nothing before the feed is asked; `retry_first_s` doubles up to `retry_max_s`;
    `attempts_max`: how often an unexpected error is tried before the message is a dead letter; `attend_s`: how often
    replay requests are looked for; `batch`: events per transaction; `buffer_bytes`: what one partition may hold.
    """

    silence_s: float = 15.0
    retry_first_s: float = 0.1
    retry_max_s: float = 30.0
    attempts_max: int = 5
    attend_s: float = 1.0
    batch: int = 200
    buffer_bytes: int = 4_000_000


class PassingError(Exception):
    """Raised by a handler for a failure of the moment: the event is tried again, for as long as it takes."""


class Handling:
    """The handlers of one consumer. Errors of :attr:`PASSING` kinds are about the moment, not about the message."""

    PASSING = (
        PassingError,
        OSError,
        TimeoutError,
        asyncpg.InterfaceError,
        asyncpg.PostgresConnectionError,
        asyncpg.TransactionRollbackError,
        asyncpg.InsufficientResourcesError,
        asyncpg.OperatorInterventionError,
        asyncpg.LockNotAvailableError,
        asyncpg.ReadOnlySQLTransactionError,
    )

    def __init__(
        self,
        consumer: str,
        pool: Pool,
        on: Mapping[str, Handler],
        observers: Sequence[Observer],
        outbox: Outbox | None,
    ) -> None:
        unknown = [name for name in on if model_of(newest(name)) is None or newest(name) != name]
        if unknown:
            raise ValueError(f"handlers are for the newest registered types: {unknown}")
        self.consumer = consumer
        self.pool = pool
        self.outbox = outbox
        self._on = on
        self._observers = observers

    async def handle(self, connection: Connection, events: Sequence[Envelope]) -> None:
        """Run handlers and observers in the caller's transaction.

        Raises :class:`InvalidMessage` for a payload that breaks its contract, and whatever a handler raises.
        """
        for envelope in events:
            handler = self._on.get(newest(envelope.type))
            if handler is not None:
                await handler(connection, envelope, decode(envelope.type, envelope.data))
        for observer in self._observers:
            await observer(connection, events)
