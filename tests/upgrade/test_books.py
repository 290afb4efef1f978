"""I12 and C15: books that an earlier version wrote are migrated, proven, folded byte for byte, and go on."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from libs.service.clock import parse_time
from libs.service.db import connect
from libs.service.migrations import migrate
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.rebuild import rebuild
from services.ledger.store.setup import SOURCES
from services.ledger.tests.support import ledger_on
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database
from tests.upgrade.books import CORPUS, dump, read_corpus, restore, sources_of

pytestmark = pytest.mark.anyio

NAMES = sorted(file.stem for file in CORPUS.glob("*.json"))
CHANGING = {"shards", "heads", "outbox_streams", "relay_checkpoints"}
"""Tables that taking over, or a further column, changes."""


@pytest.mark.parametrize("name", NAMES)
def test_every_event_reads_back_as_the_bytes_that_were_written(name: str) -> None:
    """With the scale of its account, and with nothing else from outside it."""
    rows = sorted(read_corpus(name)["events"], key=lambda row: (row["partition"], row["position"]))
    scales: dict[tuple[str, str, str], int] = {}
    for row in rows:
        key = (row["app"], row["user_id"], row["asset"])
        event = codec.decode(row["type"], row["payload"].encode(), parse_time(row["time"]))
        if isinstance(event, ev.AccountOpened):
            scales[key] = event.scale
        assert codec.encode(event, scales.get(key, 0)).decode() == row["payload"], row["event_id"]


@pytest.mark.parametrize("name", NAMES)
async def test_earlier_books_are_proven_and_go_on(database: Database, tmp_path: Path, name: str) -> None:
    rows = read_corpus(name)
    await restore(database, rows, sources_of(rows, tmp_path))
    report = await migrate(database.owner_dsn, SOURCES, database.runtime)
    assert report.applied, "there are migrations since"
    outcome = await verify(database.runtime_dsn)
    assert outcome.violations == []
    assert outcome.events == len(rows["events"])
    connection = await connect(database.admin_dsn, application_name="upgrade")
    try:
        tables = [table for table in rows if table not in {*CHANGING, "schema_migrations"}]
        now = await dump(connection, tables)
        known = {table: {name for row in rows[table] for name in row} for table in tables}
        # A column that was added since is empty in rows that were there before.
        kept = {
            table: [{name: row[name] for name in row if name in known[table] or row[name] is not None} for row in found]
            for table, found in now.items()
        }
        assert kept == {table: rows[table] for table in tables}, "nothing has been touched"
    finally:
        await connection.close()
    assert not (await rebuild(database.owner_dsn)).differences, "the log alone says the same"
    async with ledger_on(database) as ledger:
        ledger.clock.advance(30 * 86_400)
        charged = next(row for row in rows["results"] if row["command_type"] == "charge" and row["status"] == 201)
        refund = await ledger.do("charge.refund", charge=orjson.loads(charged["body"])["id"])
        assert refund.status in (201, 409), refund
        for user in sorted({row["user_id"] for row in rows["accounts"]}):
            assert (await ledger.do("grant", user, amount=1)).status in (201, 409)
        await ledger.transfer("ben", "zoe", 5)
    outcome = await verify(database.runtime_dsn)
    assert outcome.violations == []
    assert outcome.events > len(rows["events"])


@pytest.mark.parametrize("name", NAMES)
async def test_migrations_since_only_add(database: Database, tmp_path: Path, name: str) -> None:
    """What a version before reads and writes stays: every column with its type, every right, every function."""
    rows = read_corpus(name)
    await restore(database, rows, sources_of(rows, tmp_path))
    shape = {
        "columns": "SELECT table_name || '.' || column_name || ' ' || udt_name || ' ' || is_nullable"
        " FROM information_schema.columns WHERE table_schema = 'public'",
        "rights": "SELECT table_name || ' ' || privilege_type FROM information_schema.role_table_grants"
        f" WHERE grantee = '{database.runtime}'",
        "functions": "SELECT p.oid::regprocedure::text FROM pg_proc p WHERE pronamespace = 'public'::regnamespace",
        "indexes": "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'",
        "triggers": "SELECT tgrelid::regclass || ' ' || tgname || ' ' || tgenabled::text FROM pg_trigger"
        " WHERE NOT tgisinternal",
    }

    async def look() -> dict[str, set[str]]:
        connection = await connect(database.admin_dsn, application_name="upgrade")
        try:
            return {what: {row[0] for row in await connection.fetch(query)} for what, query in shape.items()}
        finally:
            await connection.close()

    before = await look()
    await migrate(database.owner_dsn, SOURCES, database.runtime)
    after = await look()
    for what, found in before.items():
        assert found <= after[what], (what, found - after[what])
    connection = await connect(database.admin_dsn, application_name="upgrade")
    try:
        required = await connection.fetch(
            "SELECT table_name || '.' || column_name AS name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND is_nullable = 'NO' AND column_default IS NULL AND is_identity = 'NO'"
        )
    finally:
        await connection.close()
    new = {row["name"] for row in required} - {column.split(" ")[0] for column in before["columns"]}
    tables = {column.split(".")[0] for column in before["columns"]}
    assert not [column for column in new if column.split(".")[0] in tables], "an old version could not insert"
