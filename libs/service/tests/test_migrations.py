"""Migrations against a real PostgreSQL."""

import asyncio
from pathlib import Path

import asyncpg
import pytest

from libs.service.db import connect, create_pool
from libs.service.migrations import (
    SERVICE_SOURCE,
    ChecksumMismatchError,
    MigrationError,
    load,
    migrate,
    pending,
)
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

FIRST = """
CREATE DOMAIN runtime AS int;
CREATE TABLE things (id int PRIMARY KEY, lasts runtime DEFAULT 1::runtime);
GRANT SELECT ON things TO :runtime;
"""


def write(directory: Path, **files: str) -> Path:
    directory.mkdir(exist_ok=True)
    for name, sql in files.items():
        (directory / f"{name.removeprefix('m')}.sql").write_text(sql)
    return directory


async def test_files_are_applied_once_and_the_runtime_role_gets_what_they_grant(
    database: Database, tmp_path: Path
) -> None:
    ours = ("ours", write(tmp_path / "ours", m0001_things=FIRST))
    report = await migrate(database.owner_dsn, [SERVICE_SOURCE, ours], database.runtime)
    assert report.applied == ["service/0001_test_clocks", "ours/0001_things"]
    assert report.ahead == []

    again = await migrate(database.owner_dsn, [SERVICE_SOURCE, ours], database.runtime)
    assert again.applied == []

    connection = await connect(database.runtime_dsn, application_name="test")
    try:
        assert await connection.fetch("SELECT id FROM things") == []
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("INSERT INTO things (id) VALUES (1)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.execute("CREATE TABLE mine (id int)")
    finally:
        await connection.close()


async def test_runners_at_the_same_time_apply_each_file_once(database: Database, tmp_path: Path) -> None:
    ours = ("ours", write(tmp_path / "ours", m0001_things=FIRST, m0002_more="CREATE TABLE more (id int);"))
    reports = await asyncio.gather(*(migrate(database.owner_dsn, [ours], database.runtime) for _ in range(4)))
    assert sorted(name for report in reports for name in report.applied) == ["ours/0001_things", "ours/0002_more"]


async def test_a_changed_file_is_refused_by_name(database: Database, tmp_path: Path) -> None:
    ours = ("ours", write(tmp_path / "ours", m0001_things=FIRST))
    await migrate(database.owner_dsn, [ours], None)
    write(tmp_path / "ours", m0001_things=FIRST + "-- changed\n", m0002_more="CREATE TABLE more (id int);")
    with pytest.raises(ChecksumMismatchError, match="ours/0001_things"):
        await migrate(database.owner_dsn, [ours], None)
    pool = await create_pool(database.owner_dsn, application_name="test")
    try:
        assert await pool.fetchval("SELECT to_regclass('more')") is None
    finally:
        await pool.close()


async def test_a_newer_database_is_fine_and_said(database: Database, tmp_path: Path) -> None:
    newer = ("ours", write(tmp_path / "new", m0001_things=FIRST, m0002_more="CREATE TABLE more (id int);"))
    older = ("ours", write(tmp_path / "old", m0001_things=FIRST))
    await migrate(database.owner_dsn, [newer], None)
    report = await migrate(database.owner_dsn, [older], None)
    assert (report.applied, report.ahead) == ([], ["ours/0002_more"])


async def test_a_failing_file_leaves_nothing_and_those_before_it_stand(database: Database, tmp_path: Path) -> None:
    broken = "CREATE TABLE half (id int); SELECT no_such_function();"
    ours = ("ours", write(tmp_path / "ours", m0001_things=FIRST, m0002_broken=broken))
    with pytest.raises(asyncpg.UndefinedFunctionError):
        await migrate(database.owner_dsn, [ours], None)
    pool = await create_pool(database.owner_dsn, application_name="test")
    try:
        assert await pool.fetchval("SELECT to_regclass('half')") is None
        assert await pending(pool, [ours]) == ["ours/0002_broken"]
    finally:
        await pool.close()


async def test_a_database_without_migrations_lacks_all(database: Database, tmp_path: Path) -> None:
    ours = ("ours", write(tmp_path / "ours", m0001_things=FIRST))
    pool = await create_pool(database.runtime_dsn, application_name="test")
    try:
        assert await pending(pool, [ours]) == ["ours/0001_things"]
    finally:
        await pool.close()


async def test_a_migration_does_not_wait_long_for_a_table_in_use(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = ("ours", write(tmp_path / "ours", m0001_things=FIRST))
    await migrate(database.owner_dsn, [ours], None)
    monkeypatch.setattr("libs.service.migrations.LOCK_TIMEOUT_MS", 100)
    write(tmp_path / "ours", m0002_alter="ALTER TABLE things ADD COLUMN extra int;")
    user = await connect(database.owner_dsn, application_name="test")
    try:
        async with user.transaction():
            await user.execute("LOCK TABLE things IN ACCESS SHARE MODE")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await migrate(database.owner_dsn, [ours], None)
    finally:
        await user.close()
    assert (await migrate(database.owner_dsn, [ours], None)).applied == ["ours/0002_alter"]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"mfirst": "SELECT 1;"}, "not named"),
        ({"m0002_gap": "SELECT 1;"}, "should have the number 0001"),
        ({"m0001_a": "SELECT 1;", "m0001_b": "SELECT 1;"}, "should have the number 0002"),
        ({}, "holds no migrations"),
    ],
)
async def test_unusable_files_are_named(files: dict[str, str], message: str, tmp_path: Path) -> None:
    with pytest.raises(MigrationError, match=message):
        load([("ours", write(tmp_path / "ours", **files))])
