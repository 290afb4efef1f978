"""The patrol: everything that was checked once is looked at again, a little at a time, for what was changed since.

One turn walks through the rows that must be there, the rows that are there, and every partition's log from its
beginning. What was just followed must be as of the same moment, so that every difference is a fault.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import Protocol

import orjson

from libs.events.ids import InvalidIdError, parse_id
from libs.service.clock import from_datetime
from libs.service.db import Connection
from services.ledger.domain import codec
from services.ledger.domain.events import AccountEvent
from services.ledger.store import projected
from services.ledger.store.projected import Key
from services.ledger.store.violations import Found
from services.ledger.verify.checks import UNFOLDABLE, LogCheck
from services.ledger.verify.compare import Comparison
from services.ledger.verify.follow import Follower
from services.ledger.verify.run import text_digest
from services.ledger.verify.state import State

STEP = 500
"""Rows or events that are looked at together."""
STEP_S = 0.05
"""How long one step goes on: its transaction holds back what the database may clean up."""
PROJECTED = ("accounts", "lots", "holds", "transfers", "configs")


class Walk(Protocol):
    """One walk; :meth:`step` answers whether it has arrived."""

    async def step(self, connection: Connection) -> bool:
        """Look at the next few."""
        ...


class Patrol:
    """Goes round and round, one :meth:`step` at a time; what it finds is in `found`."""

    def __init__(self, state: State, follower: Follower) -> None:
        self.found: list[Found] = []
        self._state = state
        self._follower = follower
        self._walks = self._turn()
        self._walk = next(self._walks)

    def _turn(self) -> Iterator[Walk]:
        for kind in (*PROJECTED, "credits"):
            yield _Expected(self, kind)
        for kind in PROJECTED:
            yield _Present(self, kind)
        yield _Texts(self)
        for partition in self._follower.partitions:
            yield _Log(self, partition)

    async def step(self, connection: Connection) -> bool:
        """Look at the next few things, all of which were followed up to this moment; whether the turn is complete."""
        until = monotonic() + STEP_S
        while monotonic() < until:
            if await self._walk.step(connection):
                following = next(self._walks, None)
                if following is None:
                    self._walks = self._turn()
                    self._walk = next(self._walks)
                    return True
                self._walk = following
        return False

    def comparison(self, connection: Connection) -> Comparison:
        """Compares with what is known now."""
        return Comparison(connection, self._state, self._follower.broken)

    @property
    def state(self) -> State:
        """What is known."""
        return self._state

    @property
    def follower(self) -> Follower:
        """Whose moment it is."""
        return self._follower


class _Expected:
    """The rows that must be there: whether they are, and are right."""

    def __init__(self, patrol: Patrol, kind: str) -> None:
        self._patrol = patrol
        self._kind = kind
        self._after = ""

    async def step(self, connection: Connection) -> bool:
        keys = self._patrol.state.page(self._kind, self._after, STEP)
        if keys:
            self._after = keys[-1]
            comparison = self._patrol.comparison(connection)
            await comparison.compare("transfers" if self._kind == "credits" else self._kind, keys)
            self._patrol.found += comparison.found
        return len(keys) < STEP


class _Present:
    """The rows that are there: whether the log knows of them."""

    def __init__(self, patrol: Patrol, kind: str) -> None:
        self._patrol = patrol
        self._kind = kind
        self._after: Key | None = None

    async def step(self, connection: Connection) -> bool:
        keys = await projected.keys_after(connection, self._kind, self._after, STEP)
        if keys:
            self._after = keys[-1]
            comparison = self._patrol.comparison(connection)
            await comparison.find_strange(self._kind, keys)
            self._patrol.found += comparison.found
        return len(keys) < STEP


class _Texts:
    """The texts that have not been erased: whether they are those that were written."""

    def __init__(self, patrol: Patrol) -> None:
        self._patrol = patrol
        self._after: Key | None = None

    async def step(self, connection: Connection) -> bool:
        keys = await projected.keys_after(connection, "texts", self._after, STEP)
        if not keys:
            return True
        self._after = keys[-1]
        known = self._patrol.state.bodies("texts", [str(key[0]) for key in keys])
        broken = {key[:2] for key in self._patrol.follower.broken}
        for row in await projected.rows_of(connection, "texts", keys):
            event_id, owner = row["event_id"], (row["app"], row["user_id"])
            body = known.get(event_id)
            told = None if body is None else orjson.loads(body)
            if told is None:
                if owner not in broken:
                    self._say("I5", event_id, "there is no such event")
            elif owner != (told["app"], told["user_id"]):
                self._say("I5", event_id, "it belongs to another user")
            elif text_digest(row["salt"], row["body"]) != told["digest"]:
                self._say("I4", event_id, "it is not the one that was written")
        return len(keys) < STEP

    def _say(self, invariant: str, event_id: str, what: str) -> None:
        try:
            partition = parse_id(event_id, "event")
        except InvalidIdError:
            partition = None
        self._patrol.found.append(Found(invariant, partition, None, f"texts: {event_id}: {what}"))


class _Log:
    """The log of one partition: whether it still leads to the hash that it led to."""

    def __init__(self, patrol: Patrol, partition: int) -> None:
        self._patrol = patrol
        self._partition = partition
        self._check = LogCheck(partition)

    async def step(self, connection: Connection) -> bool:
        check, followed = self._check, self._patrol.follower.partitions[self._partition].check.place
        rows = await projected.read_page(connection, self._partition, check.position, followed.position, STEP)
        for row in rows:
            check.follow(row)
            try:
                event = codec.decode(row.type, row.payload, from_datetime(row.time))
            except UNFOLDABLE:
                continue
            if isinstance(event, AccountEvent):
                check.check_columns(row, event)
        arrived = len(rows) < STEP
        if arrived and check.position != followed.position:
            check.found.add("I3", f"the log ends here, but it was verified up to {followed.position}", check.position)
        elif arrived and check.place.hash != followed.hash:
            check.found.add("I4", "the hash here is another one than was verified", check.position)
        self._patrol.found += [Found(v.invariant, v.partition, v.position, v.detail) for v in check.found.kept]
        check.found.kept.clear()
        check.found.count = 0
        return arrived
