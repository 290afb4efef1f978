"""Books with a history of every kind, and somebody who may do everything to their database, triggers or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from libs.service.db import Connection, connect
from services.ledger.anchors import AnchorPlace
from services.ledger.tests.support import ledger_on, prepare
from services.ledger.tests.truth.scenario import DOCUMENT, everything
from services.ledger.verify.checks import Violation
from services.ledger.verify.run import Verification, verify
from tests.plugins.postgres import Database


async def write_history(database: Database) -> None:
    """Make an empty database a ledger's, in which everything has happened at least once."""
    await prepare(database)
    async with ledger_on(database) as ledger:
        await ledger.configure(**DOCUMENT)
        await everything(ledger)
        # The last events of a partition, from which no table was projected: their loss shows in no row.
        for number in range(6):
            await ledger.do("charge", f"nobody{number}", amount=1, door="kafka")


@asynccontextmanager
async def attacker(books: Database) -> AsyncIterator[Connection]:
    """The database as its superuser has it, with no trigger and no foreign key in the way."""
    connection = await connect(books.admin_dsn, application_name="attacker")
    try:
        await connection.execute("SET session_replication_role = replica")
        yield connection
    finally:
        await connection.close()


@dataclass(frozen=True, slots=True)
class Place:
    """An event, by where it stands."""

    partition: int
    position: int


async def victim(connection: Connection, kind: str) -> Place:
    """The first event of a type that has another behind it."""
    row = await connection.fetchrow(
        "SELECT e.partition, e.position FROM events e JOIN heads h USING (partition)"
        " WHERE type = $1 AND e.position < h.position ORDER BY e.partition, e.position",
        f"ledger.{kind}.v1",
    )
    assert row is not None, kind
    return Place(*row)


async def cut_tail(connection: Connection, partition: int, events: int) -> None:
    """Take the last events of a partition away and move its head back to match."""
    await connection.execute(
        "DELETE FROM events e USING heads h"
        " WHERE h.partition = $1 AND e.partition = $1 AND e.position > h.position - $2",
        partition,
        events,
    )
    await connection.execute(
        "DELETE FROM results r USING heads h"
        " WHERE h.partition = $1 AND r.partition = $1 AND r.position > h.position - $2",
        partition,
        events,
    )
    await connection.execute(
        "UPDATE heads h SET position = e.position, hash = e.hash FROM events e"
        " WHERE h.partition = $1 AND e.partition = $1 AND e.position = h.position - $2",
        partition,
        events,
    )


async def quiet_partition(connection: Connection) -> int:
    """A partition whose last two events have left nothing in any table."""
    partition: int = await connection.fetchval(
        "SELECT h.partition FROM heads h JOIN events e ON e.partition = h.partition AND e.position > h.position - 2"
        " WHERE h.position > 2 AND e.type = 'ledger.command_refused.v1'"
        " GROUP BY h.partition HAVING count(*) = 2 LIMIT 1"
    )
    return partition


def first(outcome: Verification) -> Violation:
    """The violation that comes first in the log."""
    assert outcome.violations, "nothing was found"
    return outcome.violations[0]


async def proven(books: Database, anchors: AnchorPlace | None = None) -> Verification:
    """What `verify` says."""
    return await verify(books.runtime_dsn, anchors=anchors)


def told(outcome: Verification) -> Sequence[str]:
    """The violations as they are printed."""
    return [str(violation) for violation in outcome.violations]
