"""A PostgreSQL in memory, the server's side: sessions, transactions, row locks, lost answers.

A statement travels to the server, waits for the rows that others have locked, and takes effect at its commit, all at
once. What chance does to it on the way is drawn in `chance.py`. A statement that was sent is carried out even when its
client is gone by then, perhaps much later: that is what the fencing of writers is for.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import asyncpg

from tests.sim.chance import Chance
from tests.sim.loop import Host, Loop
from tests.sim.statements import Effect, Key, Statement, statement_of
from tests.sim.tables import Tables

COMMIT = "COMMIT"
ROLLBACK = "ROLLBACK"


Script = list[tuple[str, Sequence[Any], Any]]
"""Statements of one transaction with their arguments and what they were answered."""


class Op(NamedTuple):
    """One thing that a client asked of its session."""

    sql: str
    args: Sequence[Any]
    reply: asyncio.Future[Any] | None
    fault: str


@dataclass(eq=False, slots=True)
class Session:
    """The server's side of a connection."""

    host: Host | None
    pid: int
    inbox: deque[Op] = field(default_factory=deque)
    busy: bool = False
    arrives_at: float = 0.0
    closed: bool = False
    in_transaction: bool = False
    repeatable: bool = False
    """Whether its transaction reads from one snapshot, which its first statement takes."""

    snapshot: Tables | None = None
    staged: list[Effect] = field(default_factory=list)
    script: Script = field(default_factory=list)
    locked: list[Key] = field(default_factory=list)
    cut: bool = False
    """Terminated by the server: nothing more of it takes effect."""


class Database:
    """The server. `down` refuses and cuts all connections; `read_only` refuses writes."""

    def __init__(self, loop: Loop, chance: Chance, tables: Tables) -> None:
        self.loop = loop
        self.tables = tables
        tables.activity = self._activity
        self.down = False
        self.read_only = False
        self.sessions: dict[Session, None] = {}
        self.on_commit: Callable[[str, Host | None, Sequence[Any]], None] = lambda _name, _host, _args: None
        self.on_fault: Callable[[str, str, Host | None], None] = lambda _sql, _fault, _host: None
        self.on_script: Callable[[Script], None] = lambda _script: None
        """Hears of every read, of every refusal by a statement, and of every transaction that commits, in order."""

        self._chance = chance
        self._pids = 0
        self._locks: dict[Key, Session] = {}
        self._waiting: dict[Key, deque[Callable[[], None]]] = {}

    # The network

    def open(self, host: Host | None) -> Session:
        """Accept a connection."""
        self._pids += 1
        session = Session(host, self._pids)
        self.sessions[session] = None
        return session

    def send(self, session: Session, op: Op, delay_s: float) -> None:
        """What a client has sent arrives, after all that it sent before."""
        session.arrives_at = max(session.arrives_at + 1e-6, self.loop.time() + delay_s)
        self.loop.call_at(session.arrives_at, self._arrive, session, op, context=self.loop.nobody)

    def hang_up(self, session: Session) -> None:
        """The client is gone: what it sent is still carried out, then its open transaction is rolled back."""
        if session.closed:
            return
        session.closed = True
        if session.busy or session.in_transaction or session.arrives_at > self.loop.time():
            self.send(session, Op(ROLLBACK, (), None, ""), 0.0)
        else:
            self.sessions.pop(session, None)

    def cut(self, session: Session) -> None:
        """The server ends the session: what has not been committed is not."""
        session.cut = True
        session.closed = True
        for op in session.inbox:
            self._answer(op, asyncpg.AdminShutdownError("terminating connection due to administrator command"), 0.001)
        if not session.busy:
            self._release(session)

    def restart(self) -> None:
        """Cut everybody."""
        for session in list(self.sessions):
            self.cut(session)
        self.sessions.clear()

    def _activity(self, pid: int, end: bool) -> bool | None:
        """Whether a session is busy, None if there is none; with `end` it is cut."""
        session = next((one for one in self.sessions if one.pid == pid and not one.cut), None)
        if session is None:
            return None
        if end:
            self.loop.later(0.0, self.cut, session)
        return session.busy

    def _answer(self, op: Op, answer: Any, delay_s: float) -> None:
        if op.reply is not None and op.fault not in ("lost", "silent"):
            if delay_s:
                self.loop.later(delay_s, settle, op.reply, answer)
            else:
                settle(op.reply, answer)

    # The server

    def _arrive(self, session: Session, op: Op) -> None:
        if session.cut:
            self._answer(op, asyncpg.ConnectionDoesNotExistError("connection was closed"), 0.001)
            return
        session.inbox.append(op)
        if not session.busy:
            self._next(session)

    def _next(self, session: Session) -> None:
        if session.cut:
            session.busy = False
            self._release(session)
            return
        session.busy = bool(session.inbox)
        if not session.busy:
            return
        op = session.inbox.popleft()
        if op.sql in (COMMIT, ROLLBACK):
            self._end(session, op)
            return
        statement = statement_of(op.sql)
        if statement.locks is None:
            if session.repeatable and session.snapshot is None:
                session.snapshot = self.tables.snapshot()
            answer, _ = statement.run(session.snapshot or self.tables, op.args)
            if session.snapshot is None:
                # What a snapshot shows is of an earlier moment than what was heard of before.
                self.on_script([(op.sql, op.args, answer)])
            self._done(session, op, answer)
            return
        if self.read_only:
            self._done(session, op, asyncpg.ReadOnlySQLTransactionError("cannot execute in a read-only transaction"))
            return
        self._lock(session, op, statement, list(statement.locks(self.tables, op.args)))

    def _lock(self, session: Session, op: Op, statement: Statement, keys: list[Key]) -> None:
        """Take the rows one after another, each as soon as it is free."""
        if session.cut:
            self._answer(op, asyncpg.ConnectionDoesNotExistError("connection was closed"), 0.001)
            self._next(session)
            return
        while keys:
            key = keys[0]
            owner = self._locks.get(key)
            if owner is not None and owner is not session:
                self._waiting.setdefault(key, deque()).append(lambda: self._lock(session, op, statement, keys))
                return
            self._locks[key] = session
            session.locked.append(key)
            keys.pop(0)
        self._execute(session, op, statement)

    def _execute(self, session: Session, op: Op, statement: Statement) -> None:
        refusal = self._chance.refusal(statement.name)
        if refusal is not None:
            self._fail(session, op, refusal)
            return
        try:
            answer, effect = statement.run(self.tables, op.args)
        except asyncpg.PostgresError as error:
            self.on_script([(op.sql, op.args, error)])
            self._fail(session, op, error)
            return
        session.script.append((op.sql, op.args, answer))
        if effect is not None:
            session.staged.append(effect)
        if session.in_transaction:
            self._done(session, op, answer)
            return
        self.loop.later(self._chance.commit_s(statement.name), self._commit, session, op, statement.name, answer)

    def _commit(self, session: Session, op: Op, name: str, answer: Any) -> None:
        if session.cut:
            self._answer(op, asyncpg.ConnectionDoesNotExistError("connection was closed"), 0.001)
            self._next(session)
            return
        for effect in session.staged:
            effect()
        self.on_script(session.script)
        session.in_transaction = False
        self.on_commit(name, session.host, op.args)
        self._release(session)
        self._done(session, op, answer)

    def _end(self, session: Session, op: Op) -> None:
        if op.sql == COMMIT:
            self.loop.later(self._chance.commit_s(COMMIT), self._commit, session, op, COMMIT, None)
            return
        session.in_transaction = False
        self._release(session)
        if session.closed:
            self.sessions.pop(session, None)
        self._done(session, op, None)

    def _fail(self, session: Session, op: Op, error: Exception) -> None:
        if not session.in_transaction:
            self._release(session)
        self._done(session, op, error)

    def _done(self, session: Session, op: Op, answer: Any) -> None:
        self._answer(op, answer, self._chance.reply_s())
        self._next(session)

    def _release(self, session: Session) -> None:
        """Give the rows free, and let those who wait for them go on."""
        session.snapshot = None
        session.staged.clear()
        session.script = []
        freed, session.locked = session.locked, []
        for key in freed:
            self._locks.pop(key, None)
        for key in freed:
            waiting = self._waiting.pop(key, None)
            for again in waiting or ():
                again()


def settle(reply: asyncio.Future[Any], answer: Any) -> None:
    """Give whoever waits an answer or an error; one that has given up gets none."""
    if reply.done():
        return
    if isinstance(answer, Exception):
        reply.set_exception(answer)
        # Whoever asked may have been killed meanwhile.
        reply.exception()
    else:
        reply.set_result(answer)
