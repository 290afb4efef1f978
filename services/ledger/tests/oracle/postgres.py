"""The real writer on a real database as a subject. Now and then it is stopped, and another takes over from the tables.

All trials share one database; each has an app of its own, in test mode, whose clock the trial moves.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any, cast

import orjson
from pydantic import ValidationError

from libs.events.contracts.ledger.commands import Body
from libs.events.partition import partition_of
from services.ledger.api.views import state_view
from services.ledger.handlers.commands import BY_CONTRACT, KINDS, Origin, request_for
from services.ledger.present import at_time
from services.ledger.requests import Answer, Request, together
from services.ledger.store.reads import account_at_head
from services.ledger.tests.oracle.subject import CONFIG, START, Item
from services.ledger.tests.oracle.tariff import CALLER
from services.ledger.tests.support import PARTITIONS, Ledger, ledger_on
from tests.plugins.postgres import Database

Fields = dict[str, Any]
RESTART_EVERY = 3
"""So often as time passes in a trial, the writer is another."""
START_US = int(START.timestamp()) * 1_000_000


class Books:
    """The database and its writer, with a loop of their own: the machine is not asynchronous."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.trials = 0
        self.ledger: Ledger
        self.run(self._open())

    def run(self, work: Any) -> Any:
        """Do this in the loop."""
        return self._runner.run(work)

    async def _open(self) -> None:
        self.ledger = await self._stack.enter_async_context(ledger_on(self._database))

    async def restart(self) -> None:
        """Stop the writer; another takes over and knows what the tables say."""
        times = self.ledger.app_times
        await self._stack.aclose()
        await self._open()
        self.ledger.app_times.update(times)

    def close(self) -> None:
        """Stop the writer."""
        self.run(self._stack.aclose())
        self._runner.close()


class PostgresSubject:
    """One trial: an app of its own on the shared books."""

    def __init__(self, books: Books) -> None:
        books.trials += 1
        self._books = books
        self._app = f"trial{books.trials}"
        self._advances = 0
        self._now = START_US
        books.ledger.app_times[self._app] = START_US
        mode = {"test_mode": {"clock_start": START.isoformat()}}
        books.run(books.ledger.configure(self._app, **{**CONFIG, **mode}))

    def execute(self, command: str, fields: Fields, user: str, key: str) -> tuple[int, Fields]:
        """See `Subject.execute`."""
        try:
            make = self._maker(command, fields, user, key)
        except ValidationError:
            return 400, {"code": "invalid_request"}
        status, body = self._books.run(self._execute(make))
        return status, body

    def _maker(self, command: str, fields: Fields, user: str, key: str) -> Callable[[], Request]:
        """What makes the request for a command."""
        kind = KINDS["quote"] if command == "quote" else BY_CONTRACT[f"ledger.{command}.v1"]
        given = fields if kind.user_field is None else {**fields, kind.user_field: user}
        sent = cast("Body", (kind.contract or kind.body).model_validate_json(orjson.dumps(given)))
        origin = Origin(
            app=self._app, caller=CALLER, key=key, actor="oracle", role="service", door="http", request_id="request"
        )
        return lambda: request_for(kind, sent, origin)

    def together(self, items: list[Item], user: str, *, atomic: bool) -> list[tuple[int, Fields]]:
        """See `Subject.together`."""
        makers = [self._maker(item.command, item.fields, user, item.key) for item in items]
        answers: list[Answer] = self._books.run(self._together(makers, atomic=atomic))
        return [(answer.status, orjson.loads(answer.body)) for answer in answers]

    async def _together(self, makers: list[Callable[[], Request]], *, atomic: bool) -> list[Answer]:
        ledger = self._books.ledger
        requests = [make() for make in makers]
        if not atomic:
            return await asyncio.gather(*(ledger.send(request) for request in requests))
        answer = await ledger.send(together(requests))
        return list(answer.parts) or [answer]

    async def _execute(self, make: Callable[[], Request]) -> tuple[int, Fields]:
        ledger = self._books.ledger
        request = make()
        answer = await ledger.send(request)
        body: Fields = orjson.loads(answer.body)
        if request.type == "transfer" and answer.status < 400:
            pending = "SELECT status = 'pending' FROM transfers WHERE id = $1"
            if await ledger.pool.fetchval(pending, body["id"]):
                await ledger.arrive(body["id"])
        return answer.status, body

    async def _restart(self) -> None:
        before = [await self._state(user, None) for user in ("ann", "ben")]
        await self._books.restart()
        await self._books.ledger.writer()
        assert [await self._state(user, None) for user in ("ann", "ben")] == before

    def state(self, user: str, service: str | None) -> Fields | None:
        """See `Subject.state`."""
        shown: Fields | None = self._books.run(self._state(user, service))
        return shown

    async def _state(self, user: str, service: str | None) -> Fields | None:
        ledger = self._books.ledger
        partition = partition_of(self._app, user, PARTITIONS)
        seen = await account_at_head(ledger.pool, (self._app, user, "coins"), partition)
        if seen.account is None:
            return None
        config = (await ledger.writer()).configs[self._app]
        return state_view(at_time(seen.account, config, self._now), seen.position, self._now, service, config.zone)

    def advance(self, seconds: int) -> None:
        """See `Subject.advance`; every other time the jobs have been there already."""
        self._advances += 1
        if self._advances % RESTART_EVERY == 0:
            self._books.run(self._restart())
        self._now += seconds * 1_000_000
        self._books.ledger.app_times[self._app] = self._now
        if self._now // 1_000_000 % 2:
            for user in ("ann", "ben"):
                self._books.run(self._books.ledger.do("sweep", user, app=self._app, key=""))

    def close(self) -> None:
        """See `Subject.close`."""
