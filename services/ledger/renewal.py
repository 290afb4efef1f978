"""A new incarnation of the log, for a database that was restored to a moment before its end.

Consumers have seen more than such a log has. Under a new stream they ask where it forked, go back to there, and take
what the log says from then on. That is right only while nothing was appended since the restore: what stands in the
log when the stream begins counts as what consumers have seen.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass

import asyncpg

from libs.service.db import Connection, connect
from services.ledger.anchors import AnchorBook, AnchorPlace, read_anchors
from services.ledger.store.log_reads import hash_at, read_heads, read_streams, running_processes
from services.ledger.store.log_source import renew_stream

WAIT_S = 3.0
"""Seconds to wait for the database, and for connections to it to end."""
POLL_S = 0.1


class StillRunningError(Exception):
    """Processes of the ledger are connected to the database: they could append, or publish, at any moment."""


class WentOnError(Exception):
    """Something was appended after the restore: an anchored event is not the one that the log has in its place."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Where the log ends now, and what anchors know beyond that.

    `heads` is the last position of each partition, `lost` the last anchored one where that lies behind its head.
    `stream` is the incarnation that was begun, None if that was not asked for.
    """

    heads: Mapping[int, int]
    lost: Mapping[int, int]
    anchors: int
    stream: str | None


async def fork(owner_dsn: str, place: AnchorPlace, *, begin: bool) -> Fork:
    """Look at where a new stream would fork, and `begin` it, in one transaction of the database's owner.

    Raises :class:`StillRunningError`, :class:`WentOnError`, and the driver's errors. Doing it again is harmless: a
    stream that forks where the one before did changes nothing for anybody.
    """
    connection = await connect(owner_dsn, application_name="ledger-new-stream", wait_s=WAIT_S)
    try:
        await _all_stopped(connection)
        # What is looked at is what the stream forks from: whoever appends in between makes the transaction fail.
        async with connection.transaction(isolation="repeatable_read"):
            heads = {partition: head.position for partition, head in (await read_heads(connection)).items()}
            book = read_anchors(place, await read_streams(connection))
            await _compare(connection, book, heads)
            last = {partition: max(hashes) for partition, hashes in book.hashes.items()}
            lost = {partition: position for partition, position in last.items() if position > heads.get(partition, 0)}
            return Fork(heads, lost, book.anchors, await renew_stream(connection) if begin else None)
    except asyncpg.SerializationError:
        raise StillRunningError("something was appended just now") from None
    finally:
        await connection.close()


async def _all_stopped(connection: Connection) -> None:
    """Wait a moment for connections of processes that have just ended."""
    deadline = time.monotonic() + WAIT_S
    while running := await running_processes(connection):
        if time.monotonic() > deadline:
            raise StillRunningError(", ".join(running))
        await asyncio.sleep(POLL_S)


async def _compare(connection: Connection, book: AnchorBook, heads: Mapping[int, int]) -> None:
    """The last anchored event that each partition should have must be the one that it has."""
    for partition, hashes in book.hashes.items():
        position = max((one for one in hashes if 0 < one <= heads.get(partition, 0)), default=None)
        if position is not None and await hash_at(connection, partition, position) != hashes[position]:
            raise WentOnError(f"position {position} of partition {partition}")
