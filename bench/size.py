"""A ledger with a million accounts: how long it takes to start, and how much memory it holds."""

from __future__ import annotations

import asyncio
import random

import asyncpg

from bench import http
from bench.machine import resident_mb
from bench.rounds import Side
from bench.world import APP, CHARGE, GRANT, Ledger, World
from libs.events.db import Connection
from libs.events.partition import PARTITIONS_DEFAULT, partition_of

DATABASE = "million"
TEMPLATE = "template"
ACCOUNTS = 1_000_000
TOUCHED = 50_000
"""How many of them are charged."""


def name_of(number: int) -> str:
    """The user with this number."""
    return f"user-{number:07d}"


def prepare(world: World) -> Ledger:
    """A ledger on a database with so many accounts, each a copy of one that was funded through the API.

    The copies have rows of accounts and lots and no events: what a start and a charge read.
    """
    ledger = world.ledger(DATABASE)
    ledger.configure()
    ledger.load(http.GRANTS, GRANT, [TEMPLATE], 1, count=1)
    asyncio.run(_multiply(world.postgres.admin.dsn(DATABASE)))
    return ledger


async def _multiply(dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("CREATE UNLOGGED TABLE copies (number int, user_id text, partition smallint)")
        rows = (
            (number, name_of(number), partition_of(APP, name_of(number), PARTITIONS_DEFAULT))
            for number in range(ACCOUNTS)
        )
        await connection.copy_records_to_table("copies", records=rows)
        await _copy(connection, "accounts")
        await _copy(connection, "lots")
        await connection.execute("DROP TABLE copies")
        await connection.execute("VACUUM ANALYZE accounts, lots")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()


async def _copy(connection: Connection, table: str) -> None:
    """Copy the template's row for everyone; what tells one account from another is replaced."""
    own = {
        "user_id": "c.user_id",
        "partition": "c.partition",
        "id": "'grant_' || lpad(to_hex(c.partition::int), 2, '0') || lpad(c.number::text, 26, '0')",
    }
    columns = await connection.fetch(
        "SELECT attname FROM pg_attribute WHERE attrelid = $1::regclass AND attnum > 0 AND NOT attisdropped"
        " ORDER BY attnum",
        table,
    )
    wanted = ", ".join(own.get(column["attname"], f"t.{column['attname']}") for column in columns)
    await connection.execute(
        f"INSERT INTO {table} SELECT {wanted} FROM {table} t CROSS JOIN copies c WHERE t.user_id = $1", TEMPLATE
    )


def start(ledger: Ledger) -> tuple[float, float]:
    """Start it anew: seconds until it is ready, and the megabytes it then holds."""
    ledger.stop()
    started_s = ledger.start()
    return started_s, resident_mb(ledger.pid)


def charges(ledger: Ledger) -> Side:
    """A charge to each of many accounts, none of which is in memory: each has to be read first."""
    users = [name_of(number) for number in random.Random(ACCOUNTS).sample(range(ACCOUNTS), TOUCHED)]
    return Side(
        f"HTTP, {http.MOST} clients, of {ACCOUNTS:,} accounts none in memory",
        lambda: http.metered(ledger, lambda: ledger.load(http.CHARGES, CHARGE, users, http.MOST, count=TOUCHED)),
    )
