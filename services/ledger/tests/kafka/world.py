"""The ledger's writer between two topics: commands are sent as other services send them, outcomes read from its log."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

import httpx
import orjson
from starlette.applications import Starlette
from starlette.requests import Request as HttpRequest
from starlette.responses import Response
from starlette.routing import Route

from libs.events.bus import Bus, Message, TopicPartition
from libs.events.contracts.base import Contract, encode
from libs.events.envelope import Envelope, Headers, Heartbeat, from_record, to_headers
from libs.events.feed import FeedClient, render_feed
from libs.events.ids import Ids, UlidSource
from libs.events.partition import partition_of
from libs.events.relay import Relay
from services.ledger.consumers import CommandConsumer
from services.ledger.settings import COMMAND_SOURCES
from services.ledger.store.log_source import LedgerLog
from services.ledger.tests.support import APP, PARTITIONS, Ledger, WallClock, ledger_on, prepare
from tests.plugins.postgres import Database
from tests.waiting import DEADLINE_S, eventually

DOCUMENT: dict[str, Any] = {
    "assets": {"coins": {"scale": 2}},
    "earning_rules": {"start": {"amount": "1.50"}},
}
ALL = frozenset(kind for kinds in COMMAND_SOURCES.values() for kind in kinds)
_MORE = ("charge_credits", "capture_hold", "extend_hold", "transfer_credits", "adjust_balance", "close_account")
_SETTINGS = ("change_account", "set_budgets", "freeze_account")
SOURCES: Mapping[str, frozenset[str]] = {
    **{source: frozenset(types) for source, types in COMMAND_SOURCES.items()},
    "anything": ALL | {f"ledger.{name}.v1" for name in (*_MORE, *_SETTINGS)},
}
"""What each sender may send: as by default, and one that may send everything."""

_TOLD = (
    "partition",
    "position",
    "type",
    "user_id",
    "event_id",
    "transaction_id",
    "command_id",
    "causation_id",
    "correlation_id",
    "actor",
    "idempotency_key",
)
_ULIDS = UlidSource()


async def prepare_books(database: Database) -> None:
    """Make an empty database a ledger's whose app has been set up, and in which nobody has anything yet."""
    await prepare(database)
    async with ledger_on(database) as ledger:
        await ledger.configure(**DOCUMENT)


@dataclass(slots=True)
class Told:
    """An event of the log."""

    partition: int
    position: int
    type: str
    user: str
    event_id: str
    transaction: str
    command: str
    cause: str
    correlation: str
    actor: str
    key: str
    payload: dict[str, Any]

    @property
    def kind(self) -> str:
        """The type without service and version."""
        return self.type.split(".")[1]


@dataclass
class World:
    """Topics of a test's own on a broker, and a ledger's database. The ledger runs while a test has it running."""

    kind: str
    books: Database
    commands: str
    events: str
    bus: Bus
    clock: WallClock = field(default_factory=lambda: WallClock(time.time_ns() // 1000))
    numbers: Any = field(default_factory=count)

    @asynccontextmanager
    async def ledger(self) -> AsyncIterator[Ledger]:
        """The writer and its consumer of commands, cut off in the middle of whatever they do when the block ends."""
        async with ledger_on(self.books, clock=self.clock) as ledger:
            consumer = CommandConsumer(
                bus=self.bus,
                pool=ledger.pool,
                writer=lambda: ledger.leader.writer,
                partitions=PARTITIONS,
                allowed=SOURCES,
            )
            task = asyncio.create_task(consumer.run())
            try:
                yield ledger
            finally:
                task.cancel()
                (ended,) = await asyncio.gather(task, return_exceptions=True)
                ledger.pool.terminate()
        assert isinstance(ended, asyncio.CancelledError), ended

    def relay(self, ledger: Ledger, **times: float) -> Relay:
        """Publishes this ledger's log."""
        times = {"poll_s": 0.01, "retry_s": 0.05, **times}
        return Relay(LedgerLog(ledger.pool), ledger.pool, self.bus, {self.events: PARTITIONS}, **times)  # type: ignore[arg-type]

    # Senders

    def command(
        self, command: Contract, user: str, *, source: str = "anything", key: str | None = None, app: str = APP
    ) -> Envelope:
        """A command as the outbox of `source` makes it, under a key of its own unless one is given."""
        now = time.time_ns() // 1000
        return Envelope(
            id=Ids(_ULIDS, partition_of(app, user, PARTITIONS), now).new("command"),
            source=source,
            type=command.TYPE,
            time_us=now,
            subject=user,
            app=app,
            data=encode(command),
            correlation_id=f"request-{next(self.numbers)}",
            causation_id="event_before",
            actor="ann.admin",
            idempotency_key=f"key-{next(self.numbers)}" if key is None else key,
        )

    async def publish(self, *envelopes: Envelope) -> None:
        """Send messages to where they belong, in this order for each partition."""
        places: dict[int, list[Message]] = {}
        for one in envelopes:
            message = Message(one.key, one.data, to_headers(one))
            places.setdefault(partition_of(one.app, one.subject, PARTITIONS), []).append(message)
        for partition, messages in places.items():
            await self.bus.publish(self.commands, partition, messages)

    async def put(self, partition: int, key: bytes | None, headers: Headers, value: bytes) -> None:
        """Write a record as it is."""
        await self.bus.publish(self.commands, partition, [Message(key, value, headers)])

    async def send(self, command: Contract, user: str, **fields: Any) -> str:
        """Send a command; its id."""
        envelope = self.command(command, user, **fields)
        await self.publish(envelope)
        return envelope.id

    # What came of it

    async def told(self, ledger: Ledger, cause: str | None = None) -> list[Told]:
        """The events that a command caused, or all, in order of the log."""
        rows = await ledger.pool.fetch(
            f"SELECT {', '.join(_TOLD)}, payload FROM events"
            " WHERE $1::text IS NULL OR causation_id = $1 ORDER BY partition, position",
            cause,
        )
        found: list[list[Any]] = [[*(row[name] for name in _TOLD), orjson.loads(row["payload"])] for row in rows]
        return [Told(*values) for values in found]

    async def outcome(self, ledger: Ledger, command: str) -> Told:
        """What answered a command, waited for: the last of its events."""
        found: list[Told] = []

        async def answered() -> bool:
            found[:] = await self.told(ledger, command)
            return bool(found)

        await eventually(answered, f"an outcome of {command}")
        return found[-1]

    async def done(self, ledger: Ledger, command: Contract, user: str, **fields: Any) -> Told:
        """Send a command and wait for what came of it."""
        return await self.outcome(ledger, await self.send(command, user, **fields))

    async def passed(self, ledger: Ledger, partition: int) -> None:
        """Wait until everything that was sent to a partition has been taken."""
        (end,) = (await self.bus.end_offsets(self.commands, [partition])).values()
        cluster_id = await self.bus.cluster_id()

        async def taken() -> bool:
            query = "SELECT next_offset FROM command_cursors WHERE (cluster_id, topic, partition) = ($1, $2, $3)"
            next_offset = await ledger.pool.fetchval(query, cluster_id, self.commands, partition)
            return bool((next_offset or 0) >= end)

        await eventually(taken, f"partition {partition} is taken up to {end}")

    async def balances(self, ledger: Ledger, user: str) -> tuple[int, int, int]:
        """(settled, held, owed) of a user as stored, units."""
        row = await ledger.pool.fetchrow("SELECT settled, held, owed FROM accounts WHERE user_id = $1", user)
        return (0, 0, 0) if row is None else (row["settled"], row["held"], row["owed"])

    async def published(self, enough: Callable[[list[Envelope], list[Heartbeat]], bool]) -> list[Envelope]:
        """Everything on the topic of events, read from its beginning until it is enough."""
        places = [TopicPartition(self.events, partition) for partition in range(PARTITIONS)]
        reader = await self.bus.reader(dict.fromkeys(places, "beginning"))
        events: list[Envelope] = []
        beats: list[Heartbeat] = []
        end = time.monotonic() + DEADLINE_S
        try:
            while not enough(events, beats):
                assert time.monotonic() < end, f"only {len(events)} events and {len(beats)} heartbeats"
                for records in (await reader.fetch()).values():
                    for record in records:
                        message = from_record(record.headers, record.value)
                        if isinstance(message, Heartbeat):
                            beats.append(message)
                        else:
                            events.append(message)
        finally:
            await reader.close()
        return events


@asynccontextmanager
async def feed_of(ledger: Ledger) -> AsyncIterator[FeedClient]:
    """The feed of a ledger, as consumers ask for it over HTTP."""

    async def feed(request: HttpRequest) -> Response:
        query = request.query_params
        place = query["topic"], int(query["partition"]), int(query["after"]), int(query["limit"])
        return Response(await render_feed(LedgerLog(ledger.pool), *place), media_type="application/json")

    transport = httpx.ASGITransport(Starlette(routes=[Route("/v1/feed", feed)]))
    async with httpx.AsyncClient(transport=transport, base_url="http://ledger") as http:
        yield FeedClient(http, "http://ledger")


def without(envelope: Envelope, *names: str) -> Headers:
    """Headers of a message without some."""
    return [(name, text) for name, text in to_headers(envelope) if name not in names]


def changed(envelope: Envelope, **attributes: Any) -> Envelope:
    """The message with other attributes."""
    return replace(envelope, **attributes)


def topics() -> tuple[str, str]:
    """Names of topics for commands and events that no other test has."""
    name = secrets.token_hex(4)
    return f"ledger{name}.commands", f"ledger{name}.events"
