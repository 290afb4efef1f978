"""What the ledger's own role can do to its database, and what not even the owner does without taking a trigger away."""

from __future__ import annotations

import asyncpg
import pytest

from libs.service.db import Connection, connect
from tests.plugins.postgres import Database, DatabaseFrom
from tests.security.rights import FORBIDDEN, MESSAGING, rights_of
from tests.tamper.world import write_history

pytestmark = pytest.mark.anyio

ALLOWED = {
    **MESSAGING,
    "accounts": "SELECT INSERT UPDATE",
    "configs": "SELECT INSERT UPDATE",
    "deployment": "SELECT",
    "events": "SELECT INSERT",
    "heads": "SELECT UPDATE",
    "holds": "SELECT INSERT UPDATE",
    "lots": "SELECT INSERT UPDATE",
    "quotes": "SELECT INSERT DELETE",
    "results": "SELECT INSERT DELETE",
    "shards": "SELECT INSERT UPDATE",
    "texts": "SELECT INSERT DELETE",
    "transfers": "SELECT INSERT UPDATE",
    "unique_refs": "SELECT INSERT",
    "violations": "SELECT INSERT",
}
"""What the runtime role may do to every table. `results` are forgotten after 35 days, `texts` are erased on request."""
OF_LEDGER = (
    "UPDATE events SET payload = payload",
    "UPDATE events SET traceparent = NULL",
    "TRUNCATE heads, events",
    "SELECT * FROM events FOR UPDATE",
    "INSERT INTO events SELECT * FROM events ON CONFLICT (partition, position) DO UPDATE SET payload = ''",
    "MERGE INTO events e USING heads h ON true WHEN MATCHED THEN DELETE",
    "DELETE FROM heads",
    "INSERT INTO heads (partition, shard) VALUES (99, '0')",
    "DELETE FROM accounts",
    "DELETE FROM unique_refs",
    "UPDATE unique_refs SET object = ''",
    "UPDATE results SET body = ''",
    "UPDATE texts SET body = ''",
    "UPDATE deployment SET partitions = 1",
    "ALTER TABLE events DISABLE TRIGGER events_append_only",
    "DROP TRIGGER events_append_only ON events",
    "CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$",
    "CREATE TRIGGER more BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_change()",
)
WITHOUT_EFFECT = (
    "GRANT UPDATE, DELETE, TRUNCATE ON events TO {runtime}",
    "GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC",
)
"""PostgreSQL only warns of a grant by somebody who has nothing to grant."""
BY_TRIGGER = (
    "UPDATE events SET payload = ''",
    "DELETE FROM events",
    "TRUNCATE events",
    "TRUNCATE heads, events CASCADE",
)


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """A ledger's database in which everything has happened."""
    return await database_from("tamper", write_history)


async def digest(books: Database) -> tuple[object, ...]:
    """Everything in the log, its heads, and every object and right of the schema."""
    admin = await connect(books.admin_dsn, application_name="digest")
    try:
        found = [
            await admin.fetchval(query)
            for query in (
                "SELECT md5(string_agg(e::text, '' ORDER BY partition, position)) FROM events e",
                "SELECT md5(string_agg(h::text, '' ORDER BY partition)) FROM heads h",
                "SELECT string_agg(relname || relkind::text || relowner || relacl::text, ',' ORDER BY oid)"
                " FROM pg_class WHERE relnamespace = 'public'::regnamespace",
                "SELECT string_agg(tgname || tgenabled::text, ',' ORDER BY oid) FROM pg_trigger",
                "SELECT string_agg(prosrc, '' ORDER BY oid) FROM pg_proc WHERE pronamespace = 'public'::regnamespace",
                "SELECT string_agg(rolname || rolsuper, ',' ORDER BY oid) FROM pg_roles",
            )
        ]
    finally:
        await admin.close()
    return tuple(found)


async def test_every_table_has_the_rights_that_it_needs_and_no_more(books: Database) -> None:
    assert await rights_of(books) == ALLOWED


@pytest.mark.parametrize("of_table", ["events"])
async def test_no_column_of_it_may_be_updated(books: Database, of_table: str) -> None:
    connection = await connect(books.runtime_dsn, application_name="ledger")
    try:
        assert not await connection.fetchval("SELECT has_any_column_privilege($1, 'UPDATE')", of_table)
    finally:
        await connection.close()


async def test_the_runtime_role_is_refused(books: Database) -> None:
    before = await digest(books)
    for statement in (*FORBIDDEN, *OF_LEDGER):
        connection = await connect(books.runtime_dsn, application_name="ledger")
        try:
            said = statement.format(log="events", owner=books.owner, runtime=books.runtime, database=books.name)
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await connection.execute(said)
        finally:
            await connection.close()
    connection = await connect(books.runtime_dsn, application_name="ledger")
    try:
        for statement in WITHOUT_EFFECT:
            await connection.execute(statement.format(runtime=books.runtime))
    finally:
        await connection.close()
    assert await digest(books) == before


async def test_the_runtime_role_owns_nothing_and_is_nobody(books: Database) -> None:
    connection = await connect(books.admin_dsn, application_name="roles")
    try:
        for owned in (
            "SELECT count(*) FROM pg_class WHERE relowner = $1::regrole",
            "SELECT count(*) FROM pg_proc WHERE proowner = $1::regrole",
            "SELECT count(*) FROM pg_auth_members WHERE member = $1::regrole",
            "SELECT count(*) FROM pg_roles WHERE oid = $1::regrole"
            " AND (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls)",
        ):
            assert await connection.fetchval(owned, books.runtime) == 0, owned
        definers = "SELECT count(*) FROM pg_proc WHERE prosecdef AND pronamespace = 'public'::regnamespace"
        assert await connection.fetchval(definers) == 0, "no function lends its owner's rights"
    finally:
        await connection.close()


async def test_not_even_the_owner_changes_events(books: Database) -> None:
    before = await digest(books)

    async def refused(connection: Connection, statement: str) -> None:
        with pytest.raises(asyncpg.PostgresError, match="events are append-only") as error:
            await connection.execute(statement)
        assert error.value.sqlstate == "TS003"

    for dsn in (books.owner_dsn, books.admin_dsn):
        connection = await connect(dsn, application_name="owner")
        try:
            for statement in BY_TRIGGER:
                await refused(connection, statement)
        finally:
            await connection.close()
    owner = await connect(books.owner_dsn, application_name="owner")
    try:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await owner.execute("SET session_replication_role = replica")
    finally:
        await owner.close()
    assert await digest(books) == before
