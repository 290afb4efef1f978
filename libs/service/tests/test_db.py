"""Pools and connections keep their limits, and wait for a database that is still starting."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from pydantic import SecretStr

from libs.service.db import KEEPALIVE, Pool, connect, create_pool, ping, reveal
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


@pytest.fixture
async def pool(database: Database) -> AsyncIterator[Pool]:
    made = await create_pool(SecretStr(database.runtime_dsn), application_name="ledger", statement_timeout_ms=100)
    yield made
    await made.close()


async def test_the_database_sees_who_we_are_and_our_limits(pool: Pool) -> None:
    await ping(pool)
    for setting, value in {
        "application_name": "ledger",
        "timezone": "UTC",
        "statement_timeout": "100ms",
        "idle_in_transaction_session_timeout": "1min",
    }.items():
        assert await pool.fetchval(f"SHOW {setting}") == value
    with pytest.raises(asyncpg.QueryCanceledError):
        await pool.fetchval("SELECT pg_sleep(20)")


async def test_the_kernel_watches_both_ends_of_a_link(database: Database) -> None:
    connection = await connect(database.runtime_dsn, application_name="ledger")
    async with await create_pool(database.runtime_dsn, application_name="ledger") as pool, pool.acquire() as pooled:
        each: Any
        for each in (connection, pooled):
            ours = each._transport.get_extra_info("socket")
            assert ours.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
            for name, value in KEEPALIVE.items():
                if hasattr(socket, name):
                    assert ours.getsockopt(socket.IPPROTO_TCP, getattr(socket, name)) == value
            assert await each.fetchval("SHOW tcp_user_timeout") == "10000"
            assert await each.fetchval("SHOW tcp_keepalives_idle") == "5"
    await connection.close()


async def relay(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while data := await source.read(65_536):
        target.write(data)
        await target.drain()
    target.close()


async def test_a_server_that_comes_later_is_waited_for(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    parts = urlsplit(database.runtime_dsn)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    later = database.runtime_dsn.replace(f":{parts.port}/", f":{port}/")
    connecting = asyncio.create_task(connect(later, application_name="ledger", wait_s=20))
    async with asyncio.timeout(20):
        while not caplog.records:  # noqa: ASYNC110 - a log gives no event to wait for
            await asyncio.sleep(0.01)

    tasks: set[asyncio.Task[None]] = set()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to, back = await asyncio.open_connection(parts.hostname, parts.port)
        tasks.update({asyncio.create_task(relay(reader, back)), asyncio.create_task(relay(to, writer))})

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    connection = await connecting
    assert await connection.fetchval("SELECT 1") == 1
    await connection.close()
    await asyncio.wait(tasks, timeout=20)
    server.close()
    assert [record.message for record in caplog.records if record.name == "libs.service.db"] == [
        "waiting for the database"
    ]


async def test_waiting_has_an_end_and_wrong_credentials_are_not_waited_for(database: Database) -> None:
    parts = urlsplit(database.runtime_dsn)
    with pytest.raises(OSError):
        await create_pool(database.runtime_dsn.replace(f":{parts.port}/", ":1/"), application_name="ledger", wait_s=0.3)
    wrong = database.runtime_dsn.replace(f":{parts.password}@", ":wrong@")
    async with asyncio.timeout(10):
        with pytest.raises(asyncpg.InvalidPasswordError):
            await create_pool(wrong, application_name="ledger", wait_s=60)


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://ledger:half/other@db/ledger",
        "postgresql://ledger:12/half@db/ledger",
        "postgresql://ledger:99999/half@db/ledger",
        "postgresql://ledger:half?other@db/ledger",
        "postgresql://ledger:1#half@db/ledger",
    ],
)
def test_an_address_whose_password_is_not_quoted_is_refused_without_a_part_of_it(dsn: str) -> None:
    with pytest.raises(ValueError, match="must be percent-encoded") as refused:
        reveal(SecretStr(dsn))
    assert "half" not in str(refused.value)


def test_an_address_is_told_as_it_is() -> None:
    for dsn in ("postgresql://ledger:a%2Fb@db:5432/ledger?sslmode=disable", "postgresql:///ledger"):
        assert reveal(SecretStr(dsn)) == reveal(dsn) == dsn
