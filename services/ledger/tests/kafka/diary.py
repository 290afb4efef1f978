"""The diary that a service keeps of the ledger's events: a row for each time that one had an effect, in their order."""

from __future__ import annotations

from typing import Any

from libs.events.db import MIGRATIONS, Connection, Pool
from libs.events.ids import parse_id
from libs.service.db import create_pool
from libs.service.migrations import migrate
from tests.plugins.postgres import Database


async def prepare_diary(database: Database) -> None:
    """Make an empty database that of a service that sends commands and keeps a diary."""
    await migrate(database.owner_dsn, [MIGRATIONS], database.runtime)
    async with await create_pool(database.owner_dsn, application_name="prepare") as pool:
        await pool.execute(
            "CREATE TABLE diary (partition int, seq bigint, event_id text, place bigint GENERATED ALWAYS AS IDENTITY);"
            f" GRANT SELECT, INSERT, DELETE ON diary TO {database.runtime}"
        )


async def note(connection: Connection, events: Any) -> None:
    """Write events down: an observer of a consumer."""
    await connection.executemany(
        "INSERT INTO diary (partition, seq, event_id) VALUES ($1, $2, $3)",
        [(parse_id(event.id), event.seq, event.id) for event in events],
    )


async def forget(connection: Connection, _source: str, _topic: str, partition: int, forked_at: int) -> None:
    """Strike out what a partition's log has not had since it forked: what a consumer rebuilds with."""
    await connection.execute("DELETE FROM diary WHERE partition = $1 AND seq > $2", partition, forked_at)


async def noted(diary: Pool, partition: int) -> list[tuple[int, str]]:
    """Place in the log and id of the events of a partition, in the order in which they were written down."""
    rows = await diary.fetch("SELECT seq, event_id FROM diary WHERE partition = $1 ORDER BY place", partition)
    return [(row["seq"], row["event_id"]) for row in rows]


async def has_all(diary: Pool, ledger: Pool) -> bool:
    """Whether every event of the log has been written down."""
    events = await ledger.fetchval("SELECT count(*) FROM events")
    return bool(await diary.fetchval("SELECT count(DISTINCT event_id) FROM diary") == events)
