"""The ledger between its topics: commands come from Kafka, events go there, and a service keeps a diary of them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.events.bus import Bus
from libs.events.commands import OutcomeRecorder, Republisher, send_command
from libs.events.consumer import Consumer, Subscription, Times
from libs.events.contracts.base import Contract
from libs.events.contracts.ledger import commands as c
from libs.events.db import Connection, Pool
from libs.events.feed import FeedClient, render_feed
from libs.events.outbox import Cause, Outbox, OutboxLog
from libs.events.relay import Relay
from libs.events.stamper import Stamper
from libs.service.db import create_pool
from services.ledger.store.log_source import COMMANDS_TOPIC, EVENTS_TOPIC, LedgerLog
from services.ledger.tests.kafka.diary import forget, has_all, note, noted, prepare_diary
from services.ledger.tests.kafka.world import World, prepare_books, topics
from services.ledger.tests.support import APP, PARTITIONS, Ledger
from services.ledger.verify.run import verify
from tests.plugins.postgres import DatabaseFrom
from tests.waiting import eventually

TIMES = Times(silence_s=1.0, retry_first_s=0.02, retry_max_s=0.2, attend_s=0.05)
BUS_TIMEOUT_S = 2.0
USERS = 10


@dataclass
class Trial:
    """The parts that talk over Kafka. `world` reaches it as the ledger does; `direct` is a good link of the test's."""

    world: World
    direct: World
    bus: Bus
    diary: Pool
    http: httpx.AsyncClient
    chance: random.Random
    sent: dict[str, str] = field(default_factory=dict)
    """The user of each command, by the command's id, in the order of sending."""

    ledger: Ledger = field(init=False)
    outbox: Outbox = field(default_factory=lambda: Outbox("payments", PARTITIONS))
    feed_requests: int = 0
    times: Times = TIMES
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    """While it is not set, the diary writes nothing."""

    lives: AsyncExitStack = field(default_factory=AsyncExitStack)
    """Of the ledger; closing it ends the present one."""

    async def begin(self) -> None:
        """Have the ledger run."""
        self.ledger = await self.lives.enter_async_context(self.world.ledger())

    @asynccontextmanager
    async def stood_by(self) -> AsyncIterator[None]:
        """The ledger does not run during the block; afterwards it is another life of it."""
        await self.lives.aclose()
        yield
        await self.begin()

    def consumer(self) -> Consumer:
        """Keeps the diary, over the link that is tried."""
        feed = FeedClient(self.http, "http://ledger")
        subscription = Subscription("ledger", self.world.events, range(PARTITIONS), feed)
        return Consumer(
            "diary",
            self.diary,
            self.bus,
            [subscription],
            {},
            observers=[self._note, OutcomeRecorder()],
            rebuild=forget,
            times=self.times,
        )

    def asking(self) -> list[Coroutine[Any, Any, None]]:
        """What makes commands travel that `ask` has written, and travel again until they are answered."""
        log = OutboxLog("payments", self.diary)
        relay = Relay(log, self.diary, self.bus, {self.world.commands: PARTITIONS}, poll_s=0.01, retry_s=0.05)
        again = Republisher(self.diary, self.bus, "payments", pause_first_s=0.5, pause_max_s=1.0, poll_s=0.05)
        return [Stamper(self.diary, poll_s=0.01).run(), relay.run(), again.run()]

    async def ask(self, count: int, pause_s: float = 0.01) -> None:
        """Have the service send commands as it does in earnest: written with their cause."""
        for _ in range(count):
            user = f"user{self.chance.randrange(USERS)}"
            async with self.diary.acquire() as connection, connection.transaction():
                name = await send_command(
                    connection,
                    self.outbox,
                    c.GrantCredits(user=user, amount="3"),
                    app=APP,
                    user=user,
                    idempotency_key=f"key{len(self.sent)}",
                    cause=Cause(),
                    republish_after_s=0.5,
                )
            self.sent[name] = user
            await asyncio.sleep(self.chance.uniform(0, pause_s))

    async def _note(self, connection: Connection, events: Any) -> None:
        await self.hold.wait()
        await note(connection, events)

    async def send(self, count: int, pause_s: float = 0.01) -> None:
        """Put commands on their topic over the good link; each user's in the order in which they are made."""
        for _ in range(count):
            user = f"user{self.chance.randrange(USERS)}"
            command: Contract = self.chance.choice(
                [
                    c.GrantCredits(user=user, amount="3"),
                    c.ChargeCredits(user=user, amount="2"),
                    c.CreateHold(user=user, amount="1"),
                ]
            )
            envelope = self.direct.command(command, user)
            self.sent[envelope.id] = user
            await self.direct.publish(envelope)
            await asyncio.sleep(self.chance.uniform(0, pause_s))

    async def arrived(self) -> None:
        """Wait until every command has its outcome and the diary has every event."""

        async def decided() -> bool:
            rows = await self.ledger.pool.fetch("SELECT DISTINCT causation_id FROM events")
            return self.sent.keys() <= {row["causation_id"] for row in rows}

        await eventually(decided, "an outcome of every command")
        await eventually(lambda: has_all(self.diary, self.ledger.pool), "every event in the diary")

    async def check(self, *, in_order: bool = True) -> int:
        """Every command was decided once and in order, and the diary is the log; how many commands (I6, I7, I10)."""
        told = await self.direct.told(self.ledger)
        transactions: dict[str, set[str]] = {}
        order: dict[str, list[str]] = {}
        for event in told:
            if event.cause in self.sent and event.transaction not in transactions.setdefault(event.cause, set()):
                transactions[event.cause].add(event.transaction)
                order.setdefault(self.sent[event.cause], []).append(event.cause)
        assert {cause: len(each) for cause, each in transactions.items()} == dict.fromkeys(self.sent, 1)
        if in_order:
            for user, causes in order.items():
                assert causes == [name for name, whose in self.sent.items() if whose == user]
        for partition in range(PARTITIONS):
            events = [(each.position, each.event_id) for each in told if each.partition == partition]
            assert await noted(self.diary, partition) == events
        assert (await verify(self.ledger.dsn)).violations == []
        return len(self.sent)


@asynccontextmanager
async def trial(
    database_from: DatabaseFrom,
    monkeypatch: pytest.MonkeyPatch,
    make_topics: Callable[[dict[str, int]], Coroutine[Any, Any, None]],
    *,
    kind: str,
    address: str,
    tried: str,
    seed: int,
    shared: bool = True,
) -> AsyncIterator[Trial]:
    """Ledger, relay and diary, all running; they reach Kafka by `tried`, the test by `address`.

    On a broker that is `shared` with other tests the topics have names of their own; `ask` needs the usual ones.
    """
    books = await database_from("ledger-kafka", prepare_books)
    diary = await database_from("chaos-diary", prepare_diary)
    commands, events = topics() if shared else (COMMANDS_TOPIC, EVENTS_TOPIC)
    monkeypatch.setattr("services.ledger.consumers.COMMANDS_TOPIC", commands)
    monkeypatch.setattr("services.ledger.store.log_source.EVENTS_TOPIC", events)
    names = {commands: PARTITIONS, events: PARTITIONS}
    await make_topics(names)
    async with AsyncExitStack() as stack:
        good = await stack.enter_async_context(Bus(address, names, timeout_s=10.0))
        ledgers = await stack.enter_async_context(Bus(tried, names, timeout_s=BUS_TIMEOUT_S, probe_s=0.1))
        diarys = await stack.enter_async_context(Bus(tried, names, timeout_s=BUS_TIMEOUT_S, probe_s=0.1))
        pool = await stack.enter_async_context(await create_pool(diary.runtime_dsn, application_name="diary"))
        world = World(kind, books, commands, events, ledgers)

        async def feed(request: Request) -> Response:
            made.feed_requests += 1
            query = request.query_params
            place = query["topic"], int(query["partition"]), int(query["after"]), int(query["limit"])
            return Response(await render_feed(LedgerLog(made.ledger.pool), *place), media_type="application/json")

        transport = httpx.ASGITransport(Starlette(routes=[Route("/v1/feed", feed)]))
        http = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://ledger"))
        direct = World(kind, books, commands, events, good)
        made = Trial(world, direct, diarys, pool, http, random.Random(seed))  # noqa: S311
        made.hold.set()
        await stack.enter_async_context(made.lives)
        await made.begin()
        yield made
