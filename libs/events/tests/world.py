"""Two small services that talk as all of the suite's do: one counts, the other asks it to and keeps a diary of it.

The counter takes commands and tells events from its outbox. The diary sends commands and consumes the events; each row
of its table is one effect of one event, so that an effect that happened twice shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, Self

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.events.bus import Bus
from libs.events.command_reader import CommandBatch, CommandReader, load_cursors, store_cursors
from libs.events.commands import Answers, OutcomeRecorder, Republisher, send_command
from libs.events.consumer import Consumer, PermanentError, Subscription, Times
from libs.events.contracts.base import Command, Event, contract, decode
from libs.events.db import Connection, Pool
from libs.events.envelope import Envelope
from libs.events.feed import FeedClient, render_feed
from libs.events.log_source import LogSource
from libs.events.outbox import Cause, Outbox, OutboxLog, renew_stream
from libs.events.partition import partition_of
from libs.events.relay import Relay
from libs.events.stamper import Stamper
from libs.service.db import connect
from tests.plugins.kafka import Restartable

Pools = tuple[Pool, Pool, str]

PARTITIONS = 4
TIMES = Times(silence_s=0.5, retry_first_s=0.02, retry_max_s=0.2, attempts_max=3, attend_s=0.05)

TABLES = """
CREATE TABLE taken (key text PRIMARY KEY);
CREATE TABLE diary (number int NOT NULL, event_id text NOT NULL, seq bigint NOT NULL, partition int NOT NULL,
    place bigint GENERATED ALWAYS AS IDENTITY);
GRANT SELECT, INSERT, DELETE ON taken, diary TO :runtime;
"""


@contract("counter.counted.v1")
class Counted(Event):
    """A number was counted."""

    number: int
    padding: str = ""


@contract("counter.count.v1")
class Count(Command):
    """Count a number."""

    number: int


class World:
    """Both services and the broker between them. Parts run only while a test has them running."""

    def __init__(
        self, address: str, counter: Pool, diary: Pool, owner_dsn: str, *, restartable: Restartable | None = None
    ) -> None:
        self.counter, self.diary = counter, diary
        self._owner_dsn = owner_dsn
        self.broker = restartable
        # On a shared broker every test has topics of its own; the types' service names the command topic.
        self.source = "counter" if restartable else f"counter{secrets.token_hex(4)}"
        self.events = f"{self.source}.events"
        self.commands = "counter.commands"
        self.name = f"diary{secrets.token_hex(4)}"
        self.topics = {self.events: PARTITIONS, f"{self.name}.dead": PARTITIONS}
        if restartable:
            self.topics[self.commands] = PARTITIONS
        self.bus = Bus(address, self.topics, timeout_s=5.0, probe_s=0.1)
        self.outbox = Outbox(self.source, PARTITIONS)
        self.asking = Outbox("diary", PARTITIONS)
        self.log: LogSource = OutboxLog(self.source, counter)
        app = Starlette(routes=[Route("/v1/feed", self._feed)])
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://counter")
        self.feed = FeedClient(self._http, "http://counter", lambda: "token")
        self.feed_open = True
        self.feed_requests = 0
        self.refuse: Callable[[int], None] = lambda _: None
        self.rebuilt: list[tuple[int, int]] = []
        self.handled = asyncio.Semaphore(1_000_000)

    async def __aenter__(self) -> Self:
        self.bus.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.bus.stop()
        await self._http.aclose()

    async def _feed(self, request: Request) -> Response:
        self.feed_requests += 1
        if not self.feed_open or request.headers.get("authorization") != "Bearer token":
            return Response(status_code=503)
        query = request.query_params
        body = await render_feed(
            self.log, query["topic"], int(query["partition"]), int(query["after"]), int(query["limit"])
        )
        return Response(body, media_type="application/json")

    # The counter.

    def stamper(self) -> Stamper:
        """Numbers the counter's outbox."""
        return Stamper(self.counter, poll_s=0.01)

    def relay(self, heartbeat_s: float = 0.2) -> Relay:
        """Publishes the counter's events."""
        return Relay(
            self.log,
            self.counter,
            self.bus,
            {self.events: PARTITIONS},
            poll_s=0.01,
            heartbeat_s=heartbeat_s,
            retry_s=0.05,
        )

    async def count(self, numbers: Iterable[int], *, user: str | None = None, padding: str = "") -> None:
        """Tell that numbers were counted, each in its own transaction, each for its own user unless one is named."""
        for number in numbers:
            async with self.counter.acquire() as connection, connection.transaction():
                await self.outbox.add(
                    connection,
                    Counted(number=number, padding=padding),
                    app="coins",
                    user=user or f"user{number}",
                    cause=Cause(),
                )

    async def all_numbered(self, count: int) -> bool:
        """Whether so many messages of the counter have their number."""
        return bool(await self.counter.fetchval("SELECT count(seq) FROM outbox") == count)

    async def all_published(self) -> bool:
        """Whether Kafka has everything that the counter wrote."""
        published = await self.counter.fetchval("SELECT coalesce(sum(seq), 0) FROM relay_checkpoints")
        written = await self.counter.fetchval("SELECT count(*) FROM outbox")
        return bool(published == written)

    async def restore(self, seq: int, *, renew: bool = True) -> None:
        """Lose what came after `seq` in the only partition used so far, as a restored backup would."""
        owner = await connect(self._owner_dsn, application_name="restore")
        try:
            await owner.execute("DELETE FROM outbox WHERE seq > $1", seq)
            await owner.execute("UPDATE outbox_heads SET seq = least(seq, $1)", seq)
            await owner.execute("UPDATE relay_checkpoints SET seq = least(seq, $1)", seq)
            if renew:
                await renew_stream(owner)
        finally:
            await owner.close()

    async def obey(self) -> None:
        """Take commands for ever: key, event and cursor in one transaction."""

        async def cursors(cluster_id: str) -> dict[int, int]:
            async with self.counter.acquire() as connection:
                return await load_cursors(connection, cluster_id, self.commands)

        reader = CommandReader(self.bus, self.commands, range(PARTITIONS), PARTITIONS, cursors, retry_s=0.05)
        async with contextlib.aclosing(reader.batches()) as batches:
            async for batch in batches:
                await self._obey_batch(batch)

    async def _obey_batch(self, batch: CommandBatch) -> None:
        async with self.counter.acquire() as connection, connection.transaction():
            for _, command in batch.items:
                assert isinstance(command, Envelope), command
                fresh = await connection.fetchval(
                    "INSERT INTO taken (key) VALUES ($1) ON CONFLICT DO NOTHING RETURNING key", command.idempotency_key
                )
                if fresh is None:
                    continue
                wish = decode(command.type, command.data)
                assert isinstance(wish, Count)
                await self.outbox.add(
                    connection,
                    Counted(number=wish.number),
                    app=command.app,
                    user=command.subject,
                    cause=Cause.of(command),
                )
            await store_cursors(connection, batch.cluster_id, batch.topic, {batch.partition: batch.next_offset})

    # The diary.

    def consumer(self, times: Times = TIMES) -> Consumer:
        """Consumes the counter's events into the diary."""
        return Consumer(
            self.name,
            self.diary,
            self.bus,
            [Subscription(self.source, self.events, range(PARTITIONS), self.feed)],
            {Counted: self._note},
            observers=[OutcomeRecorder()],
            outbox=Outbox(self.name, PARTITIONS),
            rebuild=self._rebuild,
            times=times,
        )

    async def _note(self, connection: Connection, envelope: Envelope, event: Counted) -> None:
        await self.handled.acquire()
        self.refuse(event.number)
        await connection.execute(
            "INSERT INTO diary (number, event_id, seq, partition) VALUES ($1, $2, $3, $4)",
            event.number,
            envelope.id,
            envelope.seq,
            self.partition(envelope.subject),
        )

    @staticmethod
    def partition(user: str) -> int:
        """The partition of a user of the one app."""
        return partition_of("coins", user, PARTITIONS)

    async def _rebuild(self, connection: Connection, source: str, topic: str, partition: int, forked_at: int) -> None:
        assert (source, topic) == (self.source, self.events)
        self.rebuilt.append((partition, forked_at))
        await connection.execute("DELETE FROM diary WHERE partition = $1 AND seq > $2", partition, forked_at)

    async def noted(self) -> list[int]:
        """Every effect, by number; a number twice is an effect twice."""
        return [row["number"] for row in await self.diary.fetch("SELECT number FROM diary ORDER BY number")]

    async def has_noted(self, numbers: range) -> bool:
        """Whether these and no other effects are there, each once."""
        return await self.noted() == list(numbers)

    async def ask(self, number: int, republish_after_s: float = 0.3) -> str:
        """Send the command to count; returns its id."""
        async with self.diary.acquire() as connection, connection.transaction():
            return await send_command(
                connection,
                self.asking,
                Count(number=number),
                app="coins",
                user=f"user{number}",
                idempotency_key=f"key{number}",
                cause=Cause(),
                republish_after_s=republish_after_s,
            )

    def asking_parts(self) -> list[Coroutine[Any, Any, None]]:
        """What makes the diary's commands travel: stamper, relay, republisher."""
        log = OutboxLog("diary", self.diary)
        relay = Relay(log, self.diary, self.bus, {self.commands: PARTITIONS}, poll_s=0.01, retry_s=0.05)
        republisher = Republisher(self.diary, self.bus, "diary", pause_first_s=0.3, pause_max_s=1.0, poll_s=0.05)
        return [Stamper(self.diary, poll_s=0.01).run(), relay.run(), republisher.run()]

    def answers(self) -> Answers:
        """Waits for outcomes of the diary's commands."""
        return Answers(self.diary, self.bus, self.events, PARTITIONS, poll_s=0.1, retry_s=0.05)


def poison(numbers: set[int]) -> Callable[[int], None]:
    """A handler's refusal that no repetition heals."""

    def refuse(number: int) -> None:
        if number in numbers:
            raise PermanentError("unlucky", f"{number} is not wanted")

    return refuse
