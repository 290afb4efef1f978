"""The processes of a run: the product's own parts, each with its memory, on the simulated database and broker."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import SimpleNamespace
from typing import Any, NamedTuple, cast

import orjson

from libs.events.bus import Bus
from libs.events.consumer import Consumer, Subscription, Times
from libs.events.db import Connection as EventsConnection
from libs.events.db import Pool as EventsPool
from libs.events.envelope import Envelope, envelope_from_json
from libs.events.feed import LIMIT_DEFAULT, FeedPage, FeedUnavailable, render_feed
from libs.events.log_source import Stream
from libs.events.partition import partition_of
from libs.events.relay import Relay
from libs.service.clock import TestClocks
from libs.service.db import Connection, Pool
from libs.service.problems import Problem
from services.ledger.configs import Configs
from services.ledger.consumers import CommandConsumer
from services.ledger.core import Core
from services.ledger.forward import Peers
from services.ledger.jobs import Jobs
from services.ledger.requests import Answer, Request, together
from services.ledger.settings import LedgerSettings
from services.ledger.store.log_source import COMMANDS_TOPIC, EVENTS_TOPIC, SOURCE, LedgerLog
from services.ledger.transfers import Transfers
from services.ledger.writer.leader import Leader, LeaseTimes
from services.ledger.writer.surroundings import Limits
from tests.sim import connection as link
from tests.sim.bus import Broker, SimBus
from tests.sim.calendar import Calendar
from tests.sim.chance import Chance
from tests.sim.database import Database
from tests.sim.drawing import SENDS
from tests.sim.loop import Host, Loop
from tests.sim.statements import RECORD_EFFECTS

SENDER = "shop"
TIMES = LeaseTimes(poll_s=0.7)


class SimClock:
    """A process's clocks: the wall may jump, the monotonic one drifts a little and stands still in a suspended VM."""

    def __init__(self, loop: Loop, calendar: Calendar, drift: float) -> None:
        self._loop = loop
        self._calendar = calendar
        self._rate = 1.0 + drift
        self.jump_us = 0
        self.lost_s = 0.0

    def now_us(self) -> int:
        """See `Clock`."""
        return self._calendar.now_us() + self.jump_us

    def monotonic(self) -> float:
        """See `Clock`."""
        return (self._loop.time() - self.lost_s) * self._rate


class Surroundings(NamedTuple):
    """What every process of a run shares."""

    loop: Loop
    calendar: Calendar
    chance: Chance
    database: Database
    broker: Broker


class Node(Host):
    """One process. `run` ends when the process does; `killed` ones are never heard of again."""

    kind = "node"

    def __init__(self, name: str, around: Surroundings) -> None:
        super().__init__(name)
        self.loop, calendar, self.chance, self.database, self.broker = around
        self.clock = SimClock(self.loop, calendar, self.chance.random.uniform(-0.02, 0.02))
        self.pool = link.Pool(self.database, self.chance)
        self.bus = SimBus(self.broker, self.chance)
        self.killed = False
        self.main = self.loop.spawn(self, self._live())

    async def _live(self) -> None:
        raise NotImplementedError

    @property
    def ended(self) -> bool:
        """Whether it is no more."""
        return self.killed or self.main.done()

    def kill(self) -> None:
        """SIGKILL: its memory is lost, its connections close, what they carried goes on."""
        self.stopped = self.killed = True
        for session in [one for one in self.database.sessions if one.host is self]:
            self.database.hang_up(session)


class LedgerNode(Node):
    """The ledger's process: leader and writer, jobs, commands from Kafka, and a door for callers."""

    kind = "ledger"

    def __init__(self, shard: str, partitions: int, limits: Limits, name: str, around: Surroundings) -> None:
        self.shard = shard
        self.partitions = partitions
        self._limits = limits
        self.core: Core | None = None
        super().__init__(name, around)

    async def _live(self) -> None:
        pool = cast("Pool", self.pool)

        def tell_writer(config: Any) -> None:
            if leader.writer is not None:
                leader.writer.set_config(config)

        configs = Configs(pool, tell_writer)
        clocks = TestClocks(pool, configs.clock_start, self.clock, lambda _app: None)
        leader = Leader(
            shard=self.shard,
            url=self.name,
            pool=pool,
            connect=self._connect,
            read_configs=configs.all,
            clock=self.clock,
            app_now=lambda _app: None,
            partitions=self.partitions,
            limits=self._limits,
            times=TIMES,
        )
        settings = cast("LedgerSettings", SimpleNamespace(key_days=35))
        peers = cast("Peers", None)
        core = Core(settings, self.clock, pool, pool, self.partitions, leader, configs, clocks, peers)
        commands = CommandConsumer(
            bus=cast("Bus", self.bus),
            pool=pool,
            writer=lambda: leader.writer,
            partitions=self.partitions,
            allowed={SENDER: SENDS},
        )
        async with AsyncExitStack() as stack:
            tasks = [asyncio.create_task(leader.run()), asyncio.create_task(commands.run())]
            stack.push_async_callback(_end, tasks)
            await stack.enter_async_context(Jobs(core, Transfers(core), self.clock))
            self.core = core
            await asyncio.gather(*tasks)

    async def _connect(self) -> Connection:
        await asyncio.sleep(self.chance.latency_s())
        return cast("Connection", link.Connection(self.database, self.chance))

    def partition_of(self, app: str, user: str) -> int:
        """Where a user's account lies."""
        return partition_of(app, user, self.partitions)

    async def decide(self, request: Request) -> Answer:
        """What its door does with a request, in this process."""
        if self.core is None:
            raise Problem("This process is starting.")
        return await self.core.decide(request)

    async def decide_together(self, requests: Sequence[Request]) -> Answer:
        """What its door does with an atomic batch of one account."""
        writer = None if self.core is None else self.core.writer_of(self.core.partition_of(requests[0]))
        if writer is None:
            raise Problem("This process does not write the account.")
        return await writer.submit(together(requests))


class RelayNode(Node):
    """The process that publishes the log."""

    kind = "relay"

    def __init__(self, partitions: int, name: str, around: Surroundings) -> None:
        self._partitions = partitions
        super().__init__(name, around)

    async def _live(self) -> None:
        pool = cast("EventsPool", self.pool)
        relay = Relay(
            LedgerLog(pool),
            pool,
            cast("Bus", self.bus),
            {EVENTS_TOPIC: self._partitions},
            poll_s=0.5,
            heartbeat_s=5.0,
            batch=20,
            clock=self.clock.now_us,
        )
        await relay.run()


class SimFeed:
    """The ledger's feed, as `FeedClient` reads it."""

    def __init__(self, log: LedgerLog, chance: Chance) -> None:
        self._log = log
        self._chance = chance

    async def read(self, topic: str, partition: int, after: int, limit: int = LIMIT_DEFAULT) -> FeedPage:
        """See `Feed.read`."""
        await asyncio.sleep(self._chance.latency_s())
        if self._chance.hits(self._chance.feed):
            raise FeedUnavailable("no answer")
        try:
            page = orjson.loads(await render_feed(self._log, topic, partition, after, min(limit, 30)))
        except Exception as error:
            raise FeedUnavailable(repr(error)) from error
        return FeedPage(
            head=page["head"],
            streams=[Stream(one["stream"], one["forked_at"]) for one in page["streams"]],
            events=[envelope_from_json(event) for event in page["events"]],
        )


class ConsumerNode(Node):
    """The process of a service that consumes the ledger's events, and hears from them what became of its commands."""

    kind = "consumer"

    def __init__(self, partitions: int, name: str, around: Surroundings) -> None:
        self._partitions = partitions
        super().__init__(name, around)

    async def _live(self) -> None:
        feed = SimFeed(LedgerLog(cast("Pool", self.pool)), self.chance)
        consumer = Consumer(
            "reader",
            cast("EventsPool", self.pool),
            cast("Bus", self.bus),
            [Subscription(SOURCE, EVENTS_TOPIC, range(self._partitions), feed)],
            {},
            observers=[record],
            times=Times(silence_s=6.0, retry_max_s=1.0, attend_s=30.0, batch=20),
        )
        await consumer.run()


async def record(connection: EventsConnection, events: Sequence[Envelope]) -> None:
    """The consumer's effect: a row for each event, and the outcome of each command of its own."""
    partition = int(events[0].id.partition("_")[2][:2], 16)
    outcomes = [
        (event.causation_id, event.id)
        for event in events
        if event.causation_id is not None and event.type != "ledger.account_opened.v1"
    ]
    await connection.execute(RECORD_EFFECTS, partition, [(event.seq, event.id) for event in events], outcomes)


async def _end(tasks: list[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


__all__ = ["COMMANDS_TOPIC", "EVENTS_TOPIC", "ConsumerNode", "LedgerNode", "Node", "RelayNode"]
