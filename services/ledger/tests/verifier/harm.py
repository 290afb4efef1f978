"""Changing the books behind the ledger's back, as somebody who may do everything, and putting them right again."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

from libs.service.clock import from_datetime
from libs.service.db import Connection
from services.ledger.domain.chain import GENESIS, chain_hash
from services.ledger.store.violations import clear
from services.ledger.tests.truth.test_verify import tampering
from services.ledger.writer.log import APP_ACCOUNT
from tests.plugins.postgres import Database

TABLES = ("events", "heads", "accounts", "lots", "holds", "transfers", "configs", "texts", "results")
Undo = Callable[[], AbstractAsyncContextManager[Connection]]


async def rechain(connection: Connection, partition: int) -> None:
    """Make the hashes of a partition anew, as somebody who knows how: what is wrong then is in the events alone."""
    previous = GENESIS
    rows = await connection.fetch("SELECT * FROM events WHERE partition = $1 ORDER BY position", partition)
    for row in rows:
        account = APP_ACCOUNT if row["user_id"] == APP_ACCOUNT else f"{row['user_id']}/{row['asset']}"
        names = ("event_id", "transaction_id", "command_id", "correlation_id", "causation_id", "actor")
        fields = [
            str(row["partition"]),
            str(row["position"]),
            str(row["epoch"]),
            row["app"],
            account,
            row["type"],
            str(row["schema_version"]),
            *(row[name] for name in names),
            row["idempotency_key"],
            str(from_datetime(row["time"])),
        ]
        previous = chain_hash(previous, [field.encode() for field in fields], row["payload"])
        await connection.execute(
            "UPDATE events SET hash = $3 WHERE (partition, position) = ($1, $2)", partition, row["position"], previous
        )
    await connection.execute("UPDATE heads SET hash = $2 WHERE partition = $1", partition, previous)


@dataclass
class Harm:
    """Where harm is done, and undone."""

    books: Database

    async def remember(self) -> None:
        """Keep the books as they are now."""
        async with tampering(self.books) as connection:
            await connection.execute("CREATE SCHEMA remembered")
            for table in TABLES:
                await connection.execute(f"CREATE TABLE remembered.{table} AS TABLE {table}")

    @asynccontextmanager
    async def done(self) -> AsyncIterator[Connection]:
        """Do harm in one transaction; it stays done."""
        async with tampering(self.books) as connection, connection.transaction():
            yield connection

    async def undo(self) -> None:
        """Put everything back, and clear what was found."""
        async with tampering(self.books) as connection:
            async with connection.transaction():
                for table in TABLES:
                    await connection.execute(f"DELETE FROM {table}")
                    await connection.execute(f"INSERT INTO {table} TABLE remembered.{table}")
            await clear(connection, None, "a test", "put right")
