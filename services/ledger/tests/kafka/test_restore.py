"""After a restore to an earlier moment: a new stream, and consumers that go back to where the log forked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from libs.events.consumer import Consumer, Subscription, Times
from libs.events.db import MIGRATIONS, Pool
from libs.events.relay import LogBehindError
from libs.service.cli_support import CliError
from libs.service.db import connect, create_pool
from libs.service.keys import ensure_keys
from libs.service.migrations import migrate
from services.ledger.anchors import anchor_once
from services.ledger.cli import cli
from services.ledger.tests.kafka.diary import forget, note
from services.ledger.tests.kafka.world import World, feed_of
from services.ledger.tests.support import PARTITIONS, Ledger, ledger_on
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database, DatabaseFrom
from tests.waiting import beside, eventually

pytestmark = pytest.mark.anyio

USERS = [f"user{number}" for number in range(8)]
TIMES = Times(silence_s=0.5, retry_first_s=0.02, retry_max_s=0.2, attend_s=0.05)


async def _prepare(database: Database) -> None:
    await migrate(database.owner_dsn, [MIGRATIONS], database.runtime)
    async with await create_pool(database.owner_dsn, application_name="prepare") as pool:
        await pool.execute(
            "CREATE TABLE diary (partition int, seq bigint, event_id text, PRIMARY KEY (partition, seq));"
            f" GRANT SELECT, INSERT, DELETE ON diary TO {database.runtime}"
        )


@pytest.fixture
async def diary(database_from: DatabaseFrom) -> AsyncIterator[Pool]:
    """The database of a service that keeps the ledger's events by place."""
    made = await database_from("ledger-kafka-diary", _prepare)
    async with await create_pool(made.runtime_dsn, application_name="diary") as pool:
        yield pool


@asynccontextmanager
async def running(world: World, diary: Pool) -> AsyncIterator[Ledger]:
    """The ledger, its relay, its feed, and the service with the diary."""
    async with world.ledger() as ledger, feed_of(ledger) as feed:
        source = Subscription("ledger", world.events, range(PARTITIONS), feed)
        consumer = Consumer("diary", diary, world.bus, [source], {}, observers=[note], rebuild=forget, times=TIMES)
        async with beside(world.relay(ledger, heartbeat_s=0.2).run(), consumer.run()):
            yield ledger


async def _log(pool: Pool, table: str, place: str) -> list[tuple[int, int, str]]:
    rows = await pool.fetch(f"SELECT partition, {place} AS seq, event_id FROM {table} ORDER BY 1, 2")
    return [(row["partition"], row["seq"], row["event_id"]) for row in rows]


async def _same(ledger: Ledger, diary: Pool) -> bool:
    return await _log(diary, "diary", "seq") == await _log(ledger.pool, "events", "position")


async def _grants(ledger: Ledger, times: int) -> None:
    for _ in range(times):
        for user in USERS:
            await ledger.do("grant", user, amount=1)


async def tallystick(books: Database, data: Path, *arguments: str) -> str:
    """What a command prints on this database, or its message when it fails."""
    environment = {
        "TALLYSTICK_DATA": str(data),
        "TALLYSTICK_LEDGER_DSN": books.runtime_dsn,
        "TALLYSTICK_LEDGER_OWNER_DSN": books.owner_dsn,
    }
    result = await asyncio.to_thread(CliRunner().invoke, cli, ["ledger", "new-stream", *arguments], env=environment)
    if isinstance(result.exception, CliError):
        return f"{result.exception.code}: {result.exception}"
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return f"{result.exit_code}: {result.stdout}"


def copy_of(books: Database) -> Database:
    """A backup: the database as it is now, which nobody may be connected to."""
    copied = Database(books.admin, f"{books.name}_backup")
    books.admin.create_database(copied.name, owner=books.owner, runtime=books.runtime, template=books.name)
    return copied


async def test_consumers_take_back_what_a_restored_ledger_has_lost(
    world: World, books: Database, diary: Pool, tmp_path: Path
) -> None:
    key = ensure_keys(tmp_path / "keys", tmp_path / "keys" / "jwks.json")
    async with running(world, diary) as ledger:
        await _grants(ledger, 2)
        await eventually(lambda: _same(ledger, diary), "the diary is the log")
    backup = copy_of(books)
    try:
        async with running(world, diary) as ledger:
            await _grants(ledger, 3)
            await eventually(lambda: _same(ledger, diary), "the diary is the log")
            await anchor_once(ledger.pool, tmp_path / "anchors", key)
            lost = await _log(ledger.pool, "events", "position")
        world.books = backup
        async with world.ledger() as ledger:
            with pytest.raises(LogBehindError):
                await world.relay(ledger).run()

        shown = await tallystick(backup, tmp_path)
        assert shown.startswith("1: The log has ")
        assert "or more are lost" in shown
        assert "Nothing was changed." in shown
        begun = await tallystick(backup, tmp_path, "--yes")
        assert begun.startswith("0: "), begun
        # Whose answer was lost is asked again; consumers do not notice.
        assert (await tallystick(backup, tmp_path, "--yes")).startswith("0: ")

        async with running(world, diary) as ledger:
            await eventually(lambda: _same(ledger, diary), "the diary is the restored log")
            await _grants(ledger, 5)
            await eventually(lambda: _same(ledger, diary), "the diary is the log that went on")
            assert set(lost) - set(await _log(diary, "diary", "seq")), "what was lost is forgotten"
            assert (await verify(ledger.dsn)).violations == []
    finally:
        books.admin.drop_database(backup.name)


async def test_it_is_refused_while_the_ledger_runs(books: Database, tmp_path: Path) -> None:
    owner = await connect(books.runtime_dsn, application_name="ledger-writer")
    try:
        refused = await tallystick(books, tmp_path, "--yes")
    finally:
        await owner.close()
    assert refused.startswith("1: the ledger is running (ledger-writer)")
    assert await _streams(books) == 1


async def test_it_is_refused_when_the_log_went_on_after_the_restore(books: Database, tmp_path: Path) -> None:
    key = ensure_keys(tmp_path / "keys", tmp_path / "keys" / "jwks.json")
    async with ledger_on(books) as ledger:
        await _grants(ledger, 1)
    backup = copy_of(books)
    try:
        async with ledger_on(books) as ledger:
            await _grants(ledger, 1)
            await anchor_once(ledger.pool, tmp_path / "anchors", key)
        async with ledger_on(backup) as ledger:
            await _grants(ledger, 2)
        refused = await tallystick(backup, tmp_path, "--yes")
        assert refused.startswith("1: something was appended after the restore: the event at position ")
        assert await _streams(backup) == 1
    finally:
        books.admin.drop_database(backup.name)


async def _streams(books: Database) -> int:
    connection = await connect(books.owner_dsn, application_name="test")
    try:
        found: int = await connection.fetchval("SELECT count(*) FROM outbox_streams")
        return found
    finally:
        await connection.close()
