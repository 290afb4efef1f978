"""One run: faults for a while, then everything heals and must converge in time; and the books are proven."""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from unittest.mock import patch

from libs.events.ids import UlidSource
from services.ledger.store.log_source import COMMANDS_TOPIC, EVENTS_TOPIC
from services.ledger.writer.surroundings import Limits
from tests.sim.app import USERS, ZONE
from tests.sim.bus import Broker, SimBus
from tests.sim.calendar import Calendar
from tests.sim.chance import Chance
from tests.sim.database import Database
from tests.sim.loop import HOST, Loop
from tests.sim.nodes import ConsumerNode, LedgerNode, Node, RelayNode, Surroundings
from tests.sim.tables import HeadRow, Tables
from tests.sim.tariff import check_tariff, untold_month
from tests.sim.trouble import Trouble
from tests.sim.watch import Watch
from tests.sim.workload import Caller, Scene, Sender

CONVERGE_S = 90.0
"""Virtual seconds after the last fault within which all must be answered, published, consumed and settled."""
SWEPT_S = 5.0
"""How late a sweep may be once all is well."""
STEPS_MAX = 3_000_000


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    seed: int
    digest: str
    violations: list[str]
    trace: list[tuple[object, ...]]
    steps: int
    virtual_s: float
    counts: dict[str, int] = field(default_factory=dict)


class World:
    """Everything of one run."""

    def __init__(self, seed: int) -> None:
        self.chance = Chance(seed)
        random = self.chance.random
        self.loop = Loop(random)
        self.calendar = Calendar(self.loop)
        self.partitions = random.choice((1, 2, 4))
        self.shards = 2 if self.partitions > 1 and random.random() < 0.25 else 1
        heads = {number: HeadRow(number, str(number % self.shards)) for number in range(self.partitions)}
        self.tables = Tables(heads, events={number: [] for number in heads})
        self.database = Database(self.loop, self.chance, self.tables)
        topics = {EVENTS_TOPIC: self.partitions, COMMANDS_TOPIC: self.partitions}
        self.broker = Broker(self.loop, self.chance, topics)
        self.watch = Watch(self.loop, self.tables, self.broker)
        self.database.on_commit = self.watch.committed
        self.database.on_fault = self.watch.faulted
        self.nodes: list[Node] = []
        self.wanted: list[Callable[[], Node]] = []
        self.running: dict[int, Node] = {}
        self._names = itertools.count(1)
        self._around = Surroundings(self.loop, self.calendar, self.chance, self.database, self.broker)
        batch = random.choice((2, 8, 64))
        # Memory that is just as large as it must be, or ample.
        accounts, recent = random.choice(((200_000, 50_000), (2 * batch + 1, 8 * batch)))
        sweeps = random.choice((1, 8))
        self._limits = Limits(4096, batch, sweeps, accounts, recent, doubtful_max=random.choice((0, 1, 20)))

    def start(self, make: Callable[[str], Node]) -> Node:
        """Start a process under a name of its own."""
        node = make(f"p{next(self._names)}")
        self.nodes.append(node)
        self.watch.note("start", node.kind, node.name)
        return node

    def new_ledger(self, shard: str) -> Node:
        """A process of the ledger for a shard."""
        return self.start(lambda name: LedgerNode(shard, self.partitions, self._limits, name, self._around))

    def new_relay(self) -> Node:
        """A relay."""
        return self.start(lambda name: RelayNode(self.partitions, name, self._around))

    def new_consumer(self) -> Node:
        """A consumer."""
        return self.start(lambda name: ConsumerNode(self.partitions, name, self._around))

    def ledgers(self) -> list[LedgerNode]:
        """The processes of the ledger that have not ended."""
        return [node for node in self.nodes if isinstance(node, LedgerNode) and not node.ended]

    # The run

    async def live(self) -> None:
        """Both phases."""
        random, chance = self.chance.random, self.chance
        for number in range(self.shards):
            for _ in range(random.choice((1, 2))):
                self.wanted.append(lambda shard=str(number): self.new_ledger(shard))  # type: ignore[misc]
        self.wanted += [self.new_relay, self.new_consumer]
        trouble = Trouble(self)
        keeping = asyncio.ensure_future(self._keep())
        working = asyncio.ensure_future(self._work())
        troubling = asyncio.ensure_future(trouble.run())
        until = random.choice((3.0, 6.0, 12.0))
        passing = asyncio.ensure_future(self._pass(until))
        await asyncio.sleep(until)
        troubling.cancel()
        trouble.heal()
        chance.on = False
        self.watch.note("healed")
        healed_at = self.loop.time()
        while not (working.done() and passing.done() and self._converged()):
            if self.loop.time() - healed_at > CONVERGE_S or self.loop.steps > STEPS_MAX:
                self.watch.wrong("converge", f"not within {CONVERGE_S} s: {self._missing(working.done())}")
                break
            await asyncio.sleep(0.5)
        self.watch.counts["converged_ms"] = round((self.loop.time() - healed_at) * 1000)
        keeping.cancel()
        for failure in self.loop.failures:
            self.watch.wrong("loop", repr(failure.get("exception") or failure))
        self.watch.check_books(self.partitions)
        self.watch.check_consumed(self.partitions)
        check_tariff(self.tables, self._late(), self.watch.wrong)
        for task in (working, passing):
            if task.done():
                task.result()

    async def _keep(self) -> None:
        """Start again what has ended, as whoever runs the processes does."""
        random = self.chance.random
        while True:
            for number, make in enumerate(self.wanted):
                node = self.running.get(number)
                if node is None or node.ended:
                    if node is not None:
                        await asyncio.sleep(random.random())
                    self.running[number] = make()
            await asyncio.sleep(0.5)

    async def _work(self) -> None:
        random = self.chance.random
        users = list(USERS[: random.choice((3, 4, len(USERS)))])
        scene = Scene(self.loop, self.calendar, self.chance, self.watch, self.ledgers, users)
        admin = Caller("admin", scene)
        await admin.configure(0)
        sender = Sender(scene, SimBus(self.broker, self.chance), self.partitions)
        # Now and then, or all at once: then batches are decided while others commit.
        count, pause_s = random.choice(((random.randint(1, 4), 0.3), (random.randint(1, 4), 0.3), (8, 0.003)))
        callers = [Caller(f"c{number}", scene).work(random.randint(3, 10), pause_s) for number in range(count)]
        works = [*callers, sender.work(random.choice((0, 4, 12)), 0.4)]
        if random.random() < 0.2:
            works.append(sender.garbage())
        if random.random() < 0.3:
            works.append(self._change(admin))
        await asyncio.gather(*works)

    async def _change(self, admin: Caller) -> None:
        """At some time other plans."""
        await asyncio.sleep(6.0 * self.chance.random.random())
        await admin.configure(1)

    async def _pass(self, until_s: float) -> None:
        """Let months go by, in some runs: the last moments before each, and what begins with it, are lived through."""
        random = self.chance.random
        leaps = random.choice((0, 0, 1, 2, 4))
        for _ in range(leaps):
            await asyncio.sleep(until_s / leaps * random.uniform(0.2, 1.2))
            before = timedelta(seconds=2.0 * random.random(), days=random.choice((0, 0, 0, 2)))
            self.calendar.leap(random.choice((1, 1, 1, 2, 7)), before, ZONE)
            self.watch.note("time passes", self.calendar.now())

    def _converged(self) -> bool:
        return not self._missing(done=True)

    def _late(self) -> datetime:
        """What was due before this ought to have happened."""
        return self.calendar.now() - timedelta(seconds=SWEPT_S)

    def _missing(self, done: bool) -> str:
        """What is not done yet, in words; "" when all is."""
        if not done:
            waiting = [asked.key for asked in self.watch.asked if asked.answered is None]
            return f"unanswered {waiting[:3]}"
        return self._undecided() or self._unheard()

    def _undecided(self) -> str:
        """What the ledger has still to do by itself."""
        tables = self.tables
        for transfer in tables.transfers.values():
            if transfer["status"] in ("pending", "refused"):
                return f"transfer {transfer['id']} is {transfer['status']}"
        late = self._late()
        for (_, user, _), account in tables.accounts.items():
            if account["due_at"] is not None and account["due_at"] < late:
                return f"the account of {user} is due since {account['due_at']}"
        month = untold_month(tables, late)
        if month is not None:
            return f"the resets of {month} are not told of"
        return ""

    def _unheard(self) -> str:
        """What is still to be published or consumed."""
        tables = self.tables
        for number, head in tables.heads.items():
            published = tables.relay.get((EVENTS_TOPIC, number))
            if head.position and (published is None or published["seq"] < head.position):
                return f"partition {number} is not published"
            if len(tables.effects.get(number, ())) < head.position:
                return f"partition {number} is not consumed"
        return ""


@contextmanager
def _simulated(world: World) -> Iterator[None]:
    """The product's sources of chance and names from the run's, and its idle rounds a little slower."""

    def name() -> str:
        host = HOST.get()
        return "nobody" if host is None else f"sim:{host.name}"

    randbytes = world.chance.random.randbytes
    with ExitStack() as stack:
        for target, value in (
            ("services.ledger.writer.engine.UlidSource", lambda: UlidSource(randbytes)),
            ("services.ledger.writer.leader.process_name", name),
            ("services.ledger.jobs.TRANSFER_POLL_S", 1.0),
            ("services.ledger.jobs.REFRESH_S", 3.0),
            ("services.ledger.consumers.POLL_S", 0.5),
            ("services.ledger.consumers.REPLAY_POLL_S", 20.0),
            ("libs.service.timers.random", world.chance.random),
        ):
            stack.enter_context(patch(target, value))
        yield


def simulate(seed: int, *, quiet: bool = True, told: Callable[[World], None] | None = None) -> Outcome:
    """One run. The same seed is the same run, to the byte. `told` gets its world before it begins."""
    before = logging.root.manager.disable
    if quiet:
        logging.disable(logging.CRITICAL)
    world = World(seed)
    if told is not None:
        told(world)
    asyncio.set_event_loop(world.loop)
    try:
        with _simulated(world):
            try:
                world.loop.run_until_complete(world.live())
            finally:
                digest = world.watch.digest()
                steps, virtual_s = world.loop.steps, world.loop.time()
                world.loop.wind_up(world.nodes)
    finally:
        asyncio.set_event_loop(None)
        logging.disable(before)
    watch = world.watch
    watch.counts["events"] = sum(head.position for head in world.tables.heads.values())
    watch.counts["commands"] = len(watch.asked)
    return Outcome(seed, digest, watch.violations, watch.trace, steps, virtual_s, dict(watch.counts))
