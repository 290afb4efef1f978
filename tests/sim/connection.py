"""The part of asyncpg that the product uses, on the PostgreSQL in memory; what is lost on the way is drawn here."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import asyncpg

from tests.sim.chance import Chance
from tests.sim.database import COMMIT, ROLLBACK, Database, Op, settle
from tests.sim.loop import HOST
from tests.sim.tables import Row


class Connection:
    """What a process holds: the part of asyncpg's connection that the product uses."""

    def __init__(self, database: Database, chance: Chance) -> None:
        if database.down:
            raise ConnectionRefusedError("connection refused")
        self._database = database
        self._chance = chance
        self._session = database.open(HOST.get())
        self._lost = False
        self._reply: asyncio.Future[Any] | None = None

    def get_server_pid(self) -> int:
        """The session's number."""
        return self._session.pid

    def is_closed(self) -> bool:
        """Whether it can be used no more."""
        return self._lost or self._session.closed

    def terminate(self) -> None:
        """Drop it, without a word to the server."""
        self._lost = True
        self._database.hang_up(self._session)
        if self._reply is not None:
            settle(self._reply, asyncpg.ConnectionDoesNotExistError("connection was closed in the middle"))

    async def close(self) -> None:
        """Drop it."""
        self.terminate()

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Rows."""
        rows: list[Row] = await self._call(sql, args)
        return rows

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """The first row."""
        rows = await self._call(sql, args)
        return rows[0] if rows else None

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first value of the first row."""
        rows = await self._call(sql, args)
        return next(iter(rows[0].values())) if rows else None

    async def execute(self, sql: str, *args: Any) -> Any:
        """The status."""
        return await self._call(sql, args)

    def transaction(self, *, isolation: str = "", readonly: bool = False) -> Transaction:
        """A transaction, as a context. One that is `readonly` locks nothing anyway."""
        return Transaction(self, isolation == "repeatable_read")

    def begin(self, repeatable: bool) -> None:
        """From here on nothing is committed before it is asked for."""
        self._session.in_transaction = True
        self._session.repeatable = repeatable

    async def end(self, how: str) -> None:
        """Commit or roll back."""
        await self._call(how, ())

    async def _call(self, sql: str, args: Sequence[Any]) -> Any:
        if self._lost:
            raise asyncpg.InterfaceError("connection is closed")
        database, loop = self._database, self._database.loop
        fault = self._chance.fault(sql)
        if fault:
            database.on_fault(sql, fault, self._session.host)
        if database.down or self._session.cut or fault == "unsent":
            self.terminate()
            raise ConnectionResetError("connection reset by peer")
        reply: asyncio.Future[Any] = loop.create_future()
        self._reply = reply
        if fault != "dropped":
            database.send(self._session, Op(sql, args, reply, fault), self._chance.travel_s(fault))
        if fault in ("lost", "dropped"):
            # The client hears of it now, or long after the server has done its work.
            loop.later(self._chance.loss_s(), settle, reply, asyncpg.ConnectionDoesNotExistError("connection lost"))
        try:
            return await reply
        except (OSError, asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError):
            self.terminate()
            raise


class Transaction:
    """Committed when its block ends well, else rolled back."""

    def __init__(self, connection: Connection, repeatable: bool) -> None:
        self._connection = connection
        self._repeatable = repeatable

    async def __aenter__(self) -> None:
        self._connection.begin(self._repeatable)

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is None:
            await self._connection.end(COMMIT)
        elif not self._connection.is_closed():
            await self._connection.end(ROLLBACK)


class Pool:
    """A pool that makes its connections as they are asked for."""

    def __init__(self, database: Database, chance: Chance) -> None:
        self._database = database
        self._chance = chance

    @contextmanager
    def _borrowed(self) -> Iterator[Connection]:
        connection = Connection(self._database, self._chance)
        try:
            yield connection
        finally:
            connection.terminate()

    async def fetch(self, sql: str, *args: Any) -> list[Row]:
        """Rows."""
        with self._borrowed() as connection:
            return await connection.fetch(sql, *args)

    async def fetchrow(self, sql: str, *args: Any) -> Row | None:
        """The first row."""
        with self._borrowed() as connection:
            return await connection.fetchrow(sql, *args)

    async def fetchval(self, sql: str, *args: Any) -> Any:
        """The first value of the first row."""
        with self._borrowed() as connection:
            return await connection.fetchval(sql, *args)

    async def execute(self, sql: str, *args: Any) -> Any:
        """The status."""
        with self._borrowed() as connection:
            return await connection.execute(sql, *args)

    def acquire(self) -> Borrowed:
        """A connection, as a context."""
        return Borrowed(self._database, self._chance)


class Borrowed:
    """A connection of the pool while its block lasts."""

    def __init__(self, database: Database, chance: Chance) -> None:
        self._with = (database, chance)

    async def __aenter__(self) -> Connection:
        self._connection = Connection(*self._with)
        return self._connection

    async def __aexit__(self, *_: object) -> None:
        self._connection.terminate()
