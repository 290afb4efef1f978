"""The connection is lost during an append: what became of it is found out before anybody is answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from services.ledger.requests import Answer
from services.ledger.tests.support import DEADLINE_S, Ledger
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

_WAITING = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'"
    " AND application_name = 'ledger-writer' AND wait_event_type = 'Lock'"
)


class _Held:
    """An append that waits inside the database; it goes on when `let_go` is called."""

    def __init__(self, admin: asyncpg.Connection, holding: asyncpg.Connection) -> None:
        self._admin = admin
        self._holding = holding

    async def pids(self) -> list[int]:
        """The server's processes that wait for the heads, once there is one."""
        while True:
            found = [row["pid"] for row in await self._admin.fetch(_WAITING)]
            if found:
                return found
            await asyncio.sleep(0.005)

    async def kill(self) -> None:
        """End what waits, in the server: it is not committed."""
        for pid in await self.pids():
            await self._admin.execute("SELECT pg_terminate_backend($1)", pid)

    async def let_go(self) -> None:
        """Let what waits go on."""
        await self._holding.execute("ROLLBACK")


@asynccontextmanager
async def _appends_held(books: Database) -> AsyncIterator[_Held]:
    admin = await asyncpg.connect(books.admin_dsn)
    holding = await asyncpg.connect(books.admin_dsn)
    try:
        await holding.execute("BEGIN")
        await holding.execute("SELECT 1 FROM heads FOR UPDATE")
        async with asyncio.timeout(DEADLINE_S):
            yield _Held(admin, holding)
    finally:
        await admin.close()
        await holding.close()


async def _charges(ledger: Ledger) -> int:
    number: int = await ledger.pool.fetchval("SELECT count(*) FROM events WHERE type = 'ledger.credits_charged.v1'")
    return number


async def _answered(answer: asyncio.Future[Answer]) -> Answer:
    async with asyncio.timeout(DEADLINE_S):
        return await answer


async def test_what_was_not_committed_is_decided_again(ledger: Ledger, books: Database) -> None:
    """C2: the transaction is aborted with its connection; the caller is told of what is in the log."""
    await ledger.do("grant", "ann", amount=10)
    writer = await ledger.writer()
    async with _appends_held(books) as held:
        answer = writer.submit(ledger.request("charge", "ann", amount=4))
        await held.kill()
        assert not answer.done()
        await held.let_go()
        assert (await _answered(answer)).status == 201
    assert await _charges(ledger) == 1
    # The writer knows what the tables say.
    assert (await ledger.do("charge", "ann", amount=7)).body["available"] == "6"
    assert (await ledger.do("charge", "ann", amount=6)).status == 201
    assert await _charges(ledger) == 2


async def test_what_was_committed_without_an_answer_is_answered(ledger: Ledger, books: Database) -> None:
    """C3: the reply is lost; the writer fences the old transaction, reads the heads and answers, once."""
    await ledger.do("grant", "ann", amount=10)
    writer = await ledger.writer()
    async with _appends_held(books) as held:
        answer = writer.submit(ledger.request("charge", "ann", amount=4))
        (pid,) = await held.pids()
        # The client's end is cut; the server goes on with what it was told, and the writer asks to take over behind it.
        writer.disconnect()
        while set(await held.pids()) <= {pid}:  # noqa: ASYNC110
            await asyncio.sleep(0.005)
        assert not answer.done()
        await held.let_go()
        answered = await _answered(answer)
    assert (answered.status, answered.replayed) == (201, False)
    assert await _charges(ledger) == 1
    assert await ledger.writer() is writer, "the writer goes on"
    assert (await ledger.do("charge", "ann", amount=6)).status == 201


async def test_what_was_decided_on_top_is_decided_again(ledger: Ledger, books: Database) -> None:
    """C2: the batch that was decided on one that did not come to be stands on nothing."""
    await ledger.do("grant", "ann", amount=10)
    writer = await ledger.writer()
    async with _appends_held(books) as held:
        answers = [writer.submit(ledger.request("charge", "ann", amount=1))]
        await held.pids()
        answers += [writer.submit(ledger.request("charge", "ann", amount=1)) for _ in range(12)]
        await held.kill()
        await held.let_go()
        statuses = [(await _answered(answer)).status for answer in answers]
    assert sorted(statuses) == [201] * 10 + [402] * 3
    assert await _charges(ledger) == 10
