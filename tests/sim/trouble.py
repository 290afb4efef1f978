"""The greater faults of a run: deaths, pauses, takeovers, a database that restarts, a broker that loses its log."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.sim.nodes import Node

if TYPE_CHECKING:
    from tests.sim.world import World


class Trouble:
    """Makes trouble until it is cancelled; :meth:`heal` undoes what can be undone."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._random = world.chance.random
        kinds = [
            self._kill,
            self._kill_soon,
            self._pause,
            self._stop,
            self._second,
            self._cut,
            self._restart_database,
            self._read_only,
            self._broker_away,
            self._broker_loses,
            self._trim,
            self._jump,
            self._halt,
        ]
        self._kinds = self._random.sample(kinds, self._random.randint(1, len(kinds)))
        """Not every run has every kind of fault: those that come alone reach other places."""

    async def run(self) -> None:
        """One after another."""
        every_s = self._world.chance.events_s
        while True:
            await asyncio.sleep(self._random.expovariate(1 / every_s))
            kind = self._random.choice(self._kinds)
            self._world.watch.counts["faults"] += 1
            kind()

    def heal(self) -> None:
        """No more faults: the database and the broker are there, and who stood still goes on."""
        world = self._world
        world.database.down = world.database.read_only = world.broker.down = False
        world.tables.halted = False
        for node in world.nodes:
            node.fuse = 0
            node.clock.jump_us = 0
            if node.stopped and not node.killed:
                world.loop.resume(node)
        world.broker.wake()

    def _later(self, seconds: float, undo: object) -> None:
        self._world.loop.later(seconds * self._random.random(), undo)  # type: ignore[arg-type]

    def _node(self) -> Node | None:
        """A process, the ledger's more often than others."""
        alive = [node for node in self._world.nodes if not node.ended]
        ledgers = [node for node in alive if node.kind == "ledger"]
        if not alive:
            return None
        return self._random.choice(ledgers if ledgers and self._random.random() < 0.5 else alive)

    def _note(self, what: str, node: Node | None = None) -> None:
        self._world.watch.note(what, *([] if node is None else [node.kind, node.name]))

    def _kill(self) -> None:
        node = self._node()
        if node is not None:
            self._note("kill", node)
            node.kill()

    def _kill_soon(self) -> None:
        """In the middle of something: after so many of its steps."""
        node = self._node()
        if node is not None:
            node.fuse = self._random.randint(1, 200)
            self._note("kill soon", node)

    def _pause(self) -> None:
        node = self._node()
        if node is None or node.stopped:
            return
        self._note("pause", node)
        node.stopped = True
        since = self._world.loop.time()
        suspended = self._random.random() < 0.3

        def go_on() -> None:
            if node.stopped and not node.killed:
                self._note("resume", node)
                if suspended:
                    node.clock.lost_s += self._world.loop.time() - since
                self._world.loop.resume(node)

        self._later(self._random.choice((0.5, 5.0, 12.0)), go_on)

    def _stop(self) -> None:
        node = self._node()
        if node is not None:
            self._note("stop", node)
            node.main.cancel()

    def _second(self) -> None:
        """Another process beside the one there is, as when a deployment overlaps."""
        world = self._world
        if sum(not node.ended for node in world.nodes) < 8:
            self._random.choice(world.wanted)()

    def _cut(self) -> None:
        sessions = list(self._world.database.sessions)
        if sessions:
            self._note("cut")
            self._world.database.cut(self._random.choice(sessions))

    def _restart_database(self) -> None:
        database = self._world.database
        self._note("database restarts")
        database.down = True
        database.restart()
        self._later(self._random.choice((0.2, 3.0, 8.0)), lambda: setattr(database, "down", False))

    def _read_only(self) -> None:
        database = self._world.database
        self._note("database read-only")
        database.read_only = True
        self._later(self._random.choice((0.5, 6.0)), lambda: setattr(database, "read_only", False))

    def _broker_away(self) -> None:
        broker = self._world.broker
        self._note("broker away")
        broker.down = True
        broker.wake()
        self._later(3.0, lambda: setattr(broker, "down", False))

    def _broker_loses(self) -> None:
        self._note("broker loses its log")
        self._world.broker.lose()

    def _trim(self) -> None:
        self._note("broker trims its log")
        self._world.broker.trim()

    def _jump(self) -> None:
        node = self._node()
        if node is not None:
            self._note("clock jumps", node)
            node.clock.jump_us = self._random.choice((-3_600, -5, 0, 5, 60)) * 1_000_000

    def _halt(self) -> None:
        """The verifier says that the books are wrong, and somebody that they are not."""
        tables = self._world.tables
        self._note("halt")
        tables.halted = True
        self._later(4.0, lambda: setattr(tables, "halted", False))
