"""Making the database ready: migrations, then what is fixed once for a deployment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

import libs.events
from libs.service.db import connect
from libs.service.migrations import SERVICE_SOURCE, MigrationReport, migrate

SOURCES: list[tuple[str, Path]] = [
    SERVICE_SOURCE,
    ("events", Path(libs.events.__path__[0]) / "migrations"),
    ("ledger", Path(__file__).parent.parent / "migrations"),
]


async def prepare(
    owner_dsn: SecretStr | str, runtime_role: str | None, partitions: int, shards: Sequence[str]
) -> MigrationReport:
    """Apply what is missing, and initialise a new deployment: its partitions, split among `shards`.

    On one that exists only the migrations run: partitions never change, and their owners are not this call's business.
    """
    report = await migrate(owner_dsn, SOURCES, runtime_role)
    connection = await connect(owner_dsn, application_name="ledger-setup")
    try:
        async with connection.transaction():
            created = await connection.fetchval(
                "INSERT INTO deployment (partitions) VALUES ($1) ON CONFLICT DO NOTHING RETURNING id", partitions
            )
            if created is not None:
                await connection.executemany(
                    "INSERT INTO heads (partition, shard) VALUES ($1, $2)",
                    [(partition, shards[partition * len(shards) // partitions]) for partition in range(partitions)],
                )
    finally:
        await connection.close()
    return report
