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
class Halt:
    """A violation of the books because of which a shard takes no writes; None where it names no place."""

    invariant: str
    partition: int | None
    position: int | None

    def __str__(self) -> str:
        where = "" if self.position is None else f" at position {self.position}"
        where += "" if self.partition is None else f" of partition {self.partition}"
        return f"invariant {self.invariant} is violated{where}"


@dataclass(slots=True)
class Renewal:
    """What a holder learns when it renews its lease."""

    halt: Halt | None


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


_FIRST_VIOLATION = (
    "SELECT v.invariant, v.partition, v.position FROM violations v LEFT JOIN heads h USING (partition)"
    " WHERE v.cleared_at IS NULL AND (v.partition IS NULL OR h.shard = $1) ORDER BY v.id LIMIT 1"
)


async def renew(connection: Connection, shard: str, holder: str) -> Renewal | None:
    """Raise the lease's counter, and learn whether the shard may write; None when another process holds the lease."""
    row = await connection.fetchrow(
        f"UPDATE shards s SET beat = s.beat + 1 FROM (SELECT) AS one LEFT JOIN ({_FIRST_VIOLATION}) AS v ON true"
        " WHERE s.shard = $1 AND s.holder = $2 RETURNING v.invariant, v.partition, v.position",
        shard,
        holder,
    )
    return None if row is None else Renewal(None if row["invariant"] is None else Halt(*row))


async def read_halt(connection: Connection, shard: str) -> Halt | None:
    """Why the shard takes no writes, or None."""
    row = await connection.fetchrow(_FIRST_VIOLATION, shard)
    return None if row is None else Halt(*row)


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
