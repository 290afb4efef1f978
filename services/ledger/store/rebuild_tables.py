"""The projections made anew in a schema of their own, `rebuild`, and put in the place of the live ones. For the owner.

The new tables take indexes, constraints, storage parameters and grants from the live ones under the same names, so
that after the swap nothing but the rows can differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import orjson

from libs.service.db import Connection
from services.ledger.store.log_reads import TABLES

SCHEMA = "rebuild"
_ONE_AT_A_TIME = 0x7A11_5712
_LOCK_TIMEOUT_MS = 2_000
_JSON = frozenset({"card", "cost_basis", "origin", "slices"})


class RebuildRunningError(Exception):
    """Somebody else rebuilds this database at the moment."""


async def begin(connection: Connection) -> None:
    """Make empty tables, in place of what a rebuild that did not end has left. One at a time: by this connection."""
    if not await connection.fetchval("SELECT pg_try_advisory_lock($1)", _ONE_AT_A_TIME):
        raise RebuildRunningError("another rebuild of this database is running")
    async with connection.transaction():
        await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")
        await connection.execute(f"CREATE SCHEMA {SCHEMA}")
        for table in TABLES:
            await connection.execute(
                f"CREATE TABLE {SCHEMA}.{table} (LIKE public.{table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS)"
            )
        await connection.execute(f"CREATE TABLE {SCHEMA}.credits (id text PRIMARY KEY, at timestamptz NOT NULL)")


async def discard(connection: Connection) -> None:
    """Remove what was made; the live tables are as they were."""
    await connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE")


async def copy(connection: Connection, table: str, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write rows of a projection, by column, in the order of its columns."""
    columns = TABLES[table].split(", ")
    records = (
        tuple(
            orjson.dumps(row[name]).decode() if name in _JSON and row[name] is not None else row[name]
            for name in columns
        )
        for row in rows
    )
    await connection.copy_records_to_table(table, schema_name=SCHEMA, columns=columns, records=records)


async def copy_credits(connection: Connection, credits_: Iterable[tuple[str, datetime]]) -> None:
    """Note the transfers that arrived, and when."""
    await connection.copy_records_to_table("credits", schema_name=SCHEMA, columns=["id", "at"], records=iter(credits_))


async def complete_transfers(connection: Connection) -> None:
    """Give the transfers that arrived their state; the two ends of one may have been folded apart."""
    await connection.execute(
        f"UPDATE {SCHEMA}.transfers t SET status = 'completed', settled_at = c.at FROM {SCHEMA}.credits c"
        " WHERE c.id = t.id AND t.status = 'pending'"
    )


async def finish(connection: Connection) -> None:
    """Give the filled tables all that the live ones have besides rows."""
    for table in TABLES:
        live = f"public.{table}"
        for row in await connection.fetch(
            "SELECT pg_get_indexdef(i.indexrelid) AS index, con.conname, pg_get_constraintdef(con.oid) AS definition"
            " FROM pg_index i LEFT JOIN pg_constraint con ON con.conindid = i.indexrelid AND con.contype IN ('p', 'u')"
            " WHERE i.indrelid = $1::text::regclass",
            live,
        ):
            if row["conname"] is None:
                await connection.execute(row["index"].replace(f" ON {live} ", f" ON {SCHEMA}.{table} ", 1))
            else:
                await connection.execute(
                    f'ALTER TABLE {SCHEMA}.{table} ADD CONSTRAINT "{row["conname"]}" {row["definition"]}'
                )
        options = await connection.fetchval("SELECT reloptions FROM pg_class WHERE oid = $1::text::regclass", live)
        if options:
            await connection.execute(f"ALTER TABLE {SCHEMA}.{table} SET ({', '.join(options)})")
        for grant in await connection.fetch(
            "SELECT a.privilege_type AS privilege, a.grantee::regrole::text AS grantee"
            " FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = $1::text::regclass AND a.grantee <> c.relowner",
            live,
        ):
            await connection.execute(f"GRANT {grant['privilege']} ON {SCHEMA}.{table} TO {grant['grantee']}")
        await connection.execute(f"ANALYZE {SCHEMA}.{table}")


async def lock_heads(connection: Connection) -> None:
    """Let no writer append until this transaction ends; waits for those that are at it."""
    await connection.execute(f"SET LOCAL lock_timeout = {_LOCK_TIMEOUT_MS}")
    await connection.execute("SELECT FROM public.heads ORDER BY partition FOR UPDATE")


async def look_at_new(connection: Connection) -> None:
    """For the rest of this transaction, tables named without a schema are the new ones where there are such."""
    await connection.execute(f"SET LOCAL search_path = {SCHEMA}, public")


async def remove(connection: Connection, table: str, ids: list[str]) -> None:
    """Take rows away that are about to be written anew."""
    await connection.execute(f"DELETE FROM {SCHEMA}.{table} WHERE id = ANY ($1)", ids)


async def remove_accounts(connection: Connection, keys: list[tuple[str, str, str]]) -> None:
    """Take accounts away that are about to be written anew."""
    apps, users, assets = ([key[n] for key in keys] for n in range(3))
    await connection.execute(
        f"DELETE FROM {SCHEMA}.accounts a USING unnest($1::text[], $2::text[], $3::text[]) AS k(app, user_id, asset)"
        " WHERE (a.app, a.user_id, a.asset) = (k.app, k.user_id, k.asset)",
        apps,
        users,
        assets,
    )


async def swap(connection: Connection) -> None:
    """Put the new tables in the place of the live ones, and fence every writer so that it loads them.

    Refusals of transfers that have not been given back are not in the log: they are kept. In one transaction with
    :func:`lock_heads` and the last of the tail, this happens as a whole or not at all.
    """
    await connection.execute(f"LOCK TABLE {', '.join(f'public.{table}' for table in TABLES)} IN ACCESS EXCLUSIVE MODE")
    await connection.execute(
        f"UPDATE {SCHEMA}.transfers t SET status = l.status, refusal = l.refusal, settled_at = l.settled_at"
        " FROM public.transfers l WHERE l.id = t.id AND l.status = 'refused' AND t.status = 'pending'"
    )
    for table in TABLES:
        await connection.execute(f"DROP TABLE public.{table}")
        await connection.execute(f"ALTER TABLE {SCHEMA}.{table} SET SCHEMA public")
    await connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")
    await connection.execute("UPDATE public.heads SET epoch = epoch + 1")
