"""The embedded PostgreSQL, as a real process."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.embedded.admin import PostgresError
from deploy.embedded.ports import free_port
from deploy.embedded.postgres import PostgresServer
from deploy.embedded.tests.helpers import eventually
from deploy.embedded.watcher import is_alive

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    made = PostgresServer(tmp_path / "postgres", free_port(), fsync=False)
    made.start()
    yield made
    made.stop()
    made.destroy()


async def value(dsn: str, query: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


async def test_a_service_has_a_database_an_owner_and_a_runtime_role(server: PostgresServer) -> None:
    server.ensure_service("things")
    first = server.dsn("things", "things")
    server.ensure_service("things")
    assert server.dsn("things", "things") == first
    await value(server.dsn("things", "things_owner"), "CREATE TABLE kept (id int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await value(first, "CREATE TABLE mine (id int)")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await value(first, "SELECT count(*) FROM kept")


async def test_a_service_cannot_enter_the_database_of_another(server: PostgresServer) -> None:
    server.ensure_service("one")
    server.ensure_service("two")
    for role in ("one", "one_owner"):
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await value(server.dsn("two", role), "SELECT 1")


async def test_a_role_may_not_have_a_name_that_needs_quoting(server: PostgresServer) -> None:
    with pytest.raises(ValueError, match="not a name"):
        server.ensure_service('x"; DROP ROLE postgres; --')


async def test_without_a_password_nobody_enters(server: PostgresServer) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await value(f"postgresql://postgres:guess@127.0.0.1:{server.port}/postgres", "SELECT 1")
    assert (server.data_dir / "passwords.json").stat().st_mode & 0o777 == 0o600


async def test_it_listens_on_the_loopback_interface_only(server: PostgresServer) -> None:
    dsn = server.dsn("postgres", "postgres")
    assert await value(dsn, "SHOW listen_addresses") == "127.0.0.1"
    assert await value(dsn, "SHOW unix_socket_directories") == ""
    assert await value(dsn, "SELECT rolpassword LIKE 'SCRAM-SHA-256$%' FROM pg_authid WHERE rolname = 'postgres'")


async def test_data_survives_a_crash(server: PostgresServer) -> None:
    server.ensure_service("things")
    await value(server.dsn("things", "things_owner"), "CREATE TABLE kept AS SELECT 42 AS answer")
    server.kill()
    server.start()
    assert await value(server.dsn("things", "things_owner"), "SELECT answer FROM kept") == 42


def test_a_lock_file_of_a_process_that_is_no_postgres_is_removed(server: PostgresServer) -> None:
    server.stop()
    (server.data_dir / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n")
    server.start()
    assert server.is_ready()


def test_a_server_that_another_owner_left_is_ended_first(server: PostgresServer) -> None:
    assert server.child is not None
    left = server.child.pid
    heir = PostgresServer(server.data_dir, free_port(), fsync=False)
    heir.start()
    assert not is_alive(left)
    assert heir.is_ready()
    heir.stop()


def test_a_failed_start_says_why(server: PostgresServer, tmp_path: Path) -> None:
    other = PostgresServer(tmp_path / "other", server.port, fsync=False)
    with pytest.raises(PostgresError, match="Address already in use"):
        other.launch()
        assert other.child is not None
        other.child.wait(10)
        raise PostgresError((other.data_dir / "server.log").read_text())
    other.destroy()


def test_it_ends_when_its_owner_is_killed(tmp_path: Path) -> None:
    owner = f"""
import time
from pathlib import Path
from deploy.embedded.postgres import PostgresServer
server = PostgresServer(Path({str(tmp_path / "postgres")!r}), {free_port()}, fsync=False)
server.start()
print(server.child.pid, flush=True)
time.sleep(60)
"""
    process = subprocess.Popen([sys.executable, "-c", owner], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    postmaster = int(process.stdout.readline())
    process.kill()
    process.communicate()
    eventually(lambda: not is_alive(postmaster))
    PostgresServer(tmp_path / "postgres", 1).destroy()
