"""C13: the database's disk is full. Writes are refused at once, reads go on, and it heals without anybody's help."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from deploy.embedded.admin import PostgresError
from deploy.embedded.ports import free_port
from deploy.embedded.postgres import PostgresServer
from libs.service.problems import Problem, ReadOnly
from services.ledger.tests.support import Ledger, ledger_on, prepare
from services.ledger.writer.engine import READ_ONLY_S
from tests.chaos.commands import STEADY, Asked, Callers, Failures
from tests.chaos.disk import SmallDisk, small_disk
from tests.plugins.postgres import OWNER, ROLE_PASSWORD, RUNTIME, Database
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

SIZE_MB = 192
SETTINGS = ("max_wal_size=32MB", "min_wal_size=32MB", "shared_buffers=16MB")
REFUSED_WITHIN_S = 15.0


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    """A disk of its own."""
    with small_disk(SIZE_MB) as made:
        yield made


@pytest.fixture
def server(disk: SmallDisk) -> Iterator[PostgresServer]:
    """A PostgreSQL of its own, all of it on the small disk."""
    made = PostgresServer(disk.root / "server", free_port(), settings=SETTINGS)
    made.start()
    yield made
    made.stop()


@pytest.fixture
async def books(server: PostgresServer) -> AsyncIterator[Database]:
    """A ledger's database on it."""
    for role in (OWNER, RUNTIME):
        server.admin.ensure_role(role, ROLE_PASSWORD)
    server.admin.create_database("books", owner=OWNER, runtime=RUNTIME)
    made = Database(server.admin, "books")
    await prepare(made)
    yield made


async def attempt(ledger: Ledger, callers: Callers, number: int) -> Problem | None:
    """One grant, once; None if it was answered. Nobody waits long for an answer."""
    began = time.monotonic()
    user, key = f"user{number % 40}", f"0-0-{number % 8}-{number}"
    fields: dict[str, Any] = {"amount": 5, "reason": "x" * 60}
    writer = await ledger.writer()
    try:
        async with asyncio.timeout(REFUSED_WITHIN_S):
            answer = await writer.submit(ledger.request("grant", user, key=key, **fields))
    except Problem as problem:
        assert problem.status == 503
        assert time.monotonic() - began < REFUSED_WITHIN_S
        return problem
    callers.note(Asked("grant", user, key, fields, answer.status, answer.body))
    return None


def fill_log(disk: SmallDisk, server: PostgresServer) -> None:
    """Leave PostgreSQL no room for another piece of its write-ahead log, and have it need one."""
    disk.fill()
    with contextlib.suppress(PostgresError):
        server.admin.sql("SELECT pg_logical_emit_message(true, 'trial', 'x')", "SELECT pg_switch_wal()")


async def test_a_full_disk_refuses_writes_and_nothing_else(
    disk: SmallDisk, server: PostgresServer, books: Database
) -> None:
    """Tables cannot grow: 503 `read_only` at once; reads and the lease go on; with room again so do writes."""
    callers = Callers(0)
    async with ledger_on(books, times=STEADY) as ledger:
        await ledger.configure()
        writer = await ledger.writer()
        number = 0
        for number in range(200):
            assert await attempt(ledger, callers, number) is None
        disk.fill()
        refusals, failures, began = 0, Failures(), time.monotonic()
        end, deadline = began + 1.5 * STEADY.answer_s, began + 60
        while time.monotonic() < end or not refusals:
            assert time.monotonic() < deadline, "the disk is not full"
            number += 1
            # What fits into pages that are there is still written; nothing else is refused in another way.
            problem = await attempt(ledger, callers, number)
            assert problem is None or isinstance(problem, ReadOnly), problem
            refusals += problem is not None
            if problem is not None:
                assert await ledger.pool.fetchval("SELECT count(*) FROM accounts") > 0
                await asyncio.sleep(0.02)
        assert failures.since()["read_only"] <= (time.monotonic() - began) / READ_ONLY_S + 2, "the disk is left alone"
        assert server.child is not None
        assert server.child.poll() is None
        assert ledger.leader.writer is writer, "the lease was renewed all the time"
        assert ledger.leader.leads()
        disk.free()

        async def goes_on() -> bool:
            nonlocal number
            number += 1
            return await attempt(ledger, callers, number) is None

        await eventually(goes_on, "writes go on")
        assert ledger.leader.writer is writer, "nothing was restarted"
        await callers.run(ledger, 100)
        await callers.check(ledger, books)


async def test_a_disk_without_room_for_the_log_of_postgresql(
    disk: SmallDisk, server: PostgresServer, books: Database
) -> None:
    """PostgreSQL itself stops when its write-ahead log cannot grow: unavailable until there is room and it runs again.

    The ledger's process stays up through it and goes on by itself.
    """
    callers = Callers(0)
    async with ledger_on(books, times=STEADY) as ledger:
        await ledger.configure()
        for number in range(100):
            assert await attempt(ledger, callers, number) is None
        fill_log(disk, server)
        number = 100
        deadline = time.monotonic() + 60
        while server.child is not None and server.child.poll() is None:
            assert time.monotonic() < deadline, "PostgreSQL goes on without a log"
            number += 1
            if ledger.leader.writer is not None:
                await attempt(ledger, callers, number)
            else:
                await asyncio.sleep(0.05)
            fill_log(disk, server)
        disk.free()
        # The supervisor's part.
        await asyncio.to_thread(server.start)

        async def goes_on() -> bool:
            nonlocal number
            number += 1
            return ledger.leader.writer is not None and await attempt(ledger, callers, number) is None

        await eventually(goes_on, "writes go on")
        await callers.run(ledger, 100)
        await callers.check(ledger, books)
