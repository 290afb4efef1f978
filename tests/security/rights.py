"""What a service's own role may do to the tables of its database, and what no such role may do."""

from __future__ import annotations

from libs.service.db import connect
from tests.plugins.postgres import Database

PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE", "REFERENCES", "TRIGGER", "MAINTAIN")
MESSAGING = {
    "command_cursors": "SELECT INSERT UPDATE",
    "consumer_checkpoints": "SELECT INSERT UPDATE",
    "dead_letters": "SELECT INSERT UPDATE",
    "outbox": "SELECT INSERT",
    "outbox_forks": "SELECT",
    "outbox_heads": "SELECT INSERT UPDATE",
    "outbox_stamper": "SELECT INSERT UPDATE",
    "outbox_streams": "SELECT",
    "relay_checkpoints": "SELECT INSERT UPDATE",
    "schema_migrations": "SELECT",
    "sent_commands": "SELECT INSERT UPDATE",
    "test_clocks": "SELECT INSERT UPDATE",
}
"""The tables that every service has."""
FORBIDDEN = (
    "DELETE FROM {log}",
    "TRUNCATE {log}",
    "MERGE INTO {log} e USING outbox_heads h ON true WHEN MATCHED THEN DELETE",
    "COPY {log} TO PROGRAM 'cat'",
    "COPY {log} FROM '/etc/hostname'",
    "INSERT INTO outbox_streams (number, stream) VALUES (2, 'x')",
    "DELETE FROM schema_migrations",
    "ALTER TABLE {log} DISABLE TRIGGER ALL",
    "CREATE RULE nothing AS ON INSERT TO {log} DO INSTEAD NOTHING",
    "SET session_replication_role = replica",
    "SET ROLE {owner}",
    "SET SESSION AUTHORIZATION {owner}",
    "ALTER TABLE {log} OWNER TO {runtime}",
    "ALTER TABLE {log} ADD COLUMN x int",
    "ALTER TABLE {log} SET UNLOGGED",
    "DROP TABLE {log}",
    "CREATE TABLE mine (x int)",
    "CREATE TABLE more () INHERITS ({log})",
    "CREATE SCHEMA mine",
    "CREATE TEMPORARY TABLE {log} (x int)",
    "CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'",
    "CREATE ROLE mine",
    "ALTER ROLE {runtime} SUPERUSER",
    "GRANT {owner} TO {runtime}",
    "ALTER SYSTEM SET fsync = off",
    "DROP DATABASE {database}",
    "SELECT pg_read_file('/etc/hostname')",
    "SELECT lo_import('/etc/hostname')",
    "DO $$ BEGIN DELETE FROM {log}; END $$",
)
"""Refused to every service's role; `{log}` is the table that it only adds to."""


async def rights_of(database: Database) -> dict[str, str]:
    """What the runtime role may do to every table, by its name."""
    connection = await connect(database.runtime_dsn, application_name="rights")
    try:
        rows = await connection.fetch(
            "SELECT c.relname, p AS privilege FROM pg_class c, unnest($1::text[]) AS p"
            " WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')"
            " AND has_table_privilege(c.oid, p)",
            list(PRIVILEGES),
        )
    finally:
        await connection.close()
    found: dict[str, str] = {}
    for privilege in PRIVILEGES:
        for row in rows:
            if row["privilege"] == privilege:
                found[row["relname"]] = f"{found.get(row['relname'], '')} {privilege}".strip()
    return found
