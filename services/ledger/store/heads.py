"""Who writes which partitions: the shard's lease, its epochs, and the heads of the log."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import asyncpg

from libs.service.clock import from_datetime
from libs.service.db import Connection, Pool

UNREACHABLE = (
    OSError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncio.TimeoutError,
)
"""What a database that is away, or will not answer, raises."""


@dataclass(slots=True)
class Head:
    """Where a partition of the log ends; `time_us` is that of its last event by the real clock."""

    partition: int
    position: int
    hash: bytes
    epoch: int
    time_us: int


@dataclass(slots=True)
class Deployment:
    """What was fixed when the deployment was made."""

    partitions: int


@dataclass(slots=True)
class Lease:
    """A shard's lease as another process sees it."""

    holder: str
    url: str
    beat: int


async def read_deployment(pool: Pool) -> Deployment:
    """The deployment's row; LookupError when the database has not been initialised (`migrate` does it)."""
    row = await pool.fetchrow("SELECT partitions FROM deployment")
    if row is None:
        raise LookupError("the ledger's database is not initialised")
    return Deployment(row["partitions"])


async def read_lease(connection: Connection, shard: str) -> Lease | None:
    """The lease of a shard, or None if it was never taken."""
    row = await connection.fetchrow("SELECT holder, url, beat FROM shards WHERE shard = $1", shard)
    return None if row is None else Lease(*row)


async def take_over(connection: Connection, shard: str, holder: str, url: str) -> dict[int, Head]:
    """Become the writer of a shard: fence the one before, and read the heads. Waits for its last transaction."""
    rows = await connection.fetch("SELECT * FROM ledger_take_over($1, $2, $3)", shard, holder, url)
    return {
        row["partition"]: Head(row["partition"], row["position"], row["hash"], row["epoch"], from_datetime(row["time"]))
        for row in rows
    }


async def renew(connection: Connection, shard: str, holder: str) -> bool:
    """Raise the lease's counter; False when another process holds it."""
    status = await connection.execute(
        "UPDATE shards SET beat = beat + 1 WHERE shard = $1 AND holder = $2", shard, holder
    )
    return status == "UPDATE 1"


async def is_working(connection: Connection, backend: int) -> bool:
    """Whether the server is busy with what the connection `backend` (its process id) sent.

    One that is not, though its client waits, has lost the rest of the request or the answer on the way. It is ended on
    the server too, so that nobody waits for what it may hold.
    """
    working = await connection.fetchval(
        "SELECT state = 'active' AND wait_event_type IS DISTINCT FROM 'Client' FROM pg_stat_activity WHERE pid = $1",
        backend,
    )
    if not working:
        await connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1", backend)
    return bool(working)


async def give_up(connection: Connection, shard: str, holder: str) -> None:
    """Let a standby take over at once."""
    await connection.execute("UPDATE shards SET holder = '' WHERE shard = $1 AND holder = $2", shard, holder)


async def owners(pool: Pool) -> dict[int, tuple[str, str]]:
    """(shard, address) of the writer of each partition that has one: a lease that was let go is nobody's."""
    rows = await pool.fetch(
        "SELECT h.partition, h.shard, s.url FROM heads h JOIN shards s USING (shard) WHERE s.holder <> ''"
    )
    return {row["partition"]: (row["shard"], row["url"]) for row in rows}


async def positions(pool: Pool) -> dict[int, int]:
    """The last position of every partition."""
    return {row["partition"]: row["position"] for row in await pool.fetch("SELECT partition, position FROM heads")}
