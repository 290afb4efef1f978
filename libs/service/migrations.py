"""Migrations: numbered `.sql` files, each applied once in a transaction of its own, as the owner of the database.

A database may take files from several sources (a library's and the service's); each source has its own numbers. Files
are `NNNN_name.sql`. In them `:runtime` stands for the service's runtime role, which owns nothing and has what the files
grant it. Changes come in expand and contract halves, so a database newer than the code is fine to run on.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
from pydantic import SecretStr

from libs.service.db import Connection, Pool, connect

logger = logging.getLogger(__name__)

SERVICE_SOURCE = ("service", Path(__file__).parent / "schema")
"""The chassis's own tables (test clocks)."""

RECORDS_SOURCE = ("records", Path(__file__).parent / "records")
"""What services whose truth is in tables keep beside it: answers under idempotency keys, configurations."""

LOCK_TIMEOUT_MS = 5_000
RUNNER_LOCK_TIMEOUT_MS = 60_000
STATEMENT_TIMEOUT_MS = 300_000
_ADVISORY_KEY = 0x7A11_5711
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.sql")
_RUNTIME = re.compile(r"(?<![:\w]):runtime\b")
_TABLE = """
CREATE TABLE IF NOT EXISTS schema_migrations (
    source text NOT NULL,
    version int NOT NULL,
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (source, version)
)
"""


class MigrationError(Exception):
    """The files cannot be applied as they are; the message says which and why."""


class ChecksumMismatchError(MigrationError):
    """A file that was applied has been changed since."""


@dataclass(frozen=True, slots=True)
class Migration:
    """One file."""

    source: str
    version: int
    name: str
    sql: str
    checksum: str

    def __str__(self) -> str:
        return f"{self.source}/{self.version:04d}_{self.name}"


@dataclass(slots=True)
class MigrationReport:
    """What a run did: files applied, and files that the database has and this code does not."""

    applied: list[str] = field(default_factory=list)
    ahead: list[str] = field(default_factory=list)


def load(sources: Sequence[tuple[str, Path]]) -> list[Migration]:
    """The files of all sources in order; :class:`MigrationError` for a bad name, a gap or a number used twice."""
    migrations: list[Migration] = []
    for source, directory in sources:
        paths = sorted(directory.glob("*.sql"))
        if not paths:
            raise MigrationError(f"{source}: {directory} holds no migrations")
        for expected, path in enumerate(paths, start=1):
            match = _FILE.fullmatch(path.name)
            if match is None:
                raise MigrationError(f"{source}: {path.name} is not named NNNN_name.sql")
            if int(match[1]) != expected:
                raise MigrationError(f"{source}: {path.name} should have the number {expected:04d}")
            sql = path.read_text(encoding="utf-8")
            checksum = hashlib.sha256(sql.encode()).hexdigest()
            migrations.append(Migration(source, expected, match[2], sql, checksum))
    return migrations


async def migrate(
    owner_dsn: SecretStr | str, sources: Sequence[tuple[str, Path]], runtime_role: str | None
) -> MigrationReport:
    """Apply what is missing; several runners at once are safe. Without a `runtime_role` grants go to the owner itself.

    Raises :class:`ChecksumMismatchError` when an applied file was changed, :class:`MigrationError` for unusable files,
    and asyncpg's errors when a statement fails (that file and those after it are then not applied).
    """
    migrations = load(sources)
    connection = await connect(owner_dsn, application_name="migrations", statement_timeout_ms=STATEMENT_TIMEOUT_MS)
    try:
        role = "CURRENT_USER" if runtime_role is None else _quote(runtime_role)
        report = MigrationReport()
        async with connection.transaction():
            await _lock(connection)
            await connection.execute(_TABLE)
            await connection.execute(f"GRANT SELECT ON schema_migrations TO {role}")
            known = await _applied(connection)
        _check(migrations, known)
        report.ahead = _ahead(migrations, known)
        for migration in migrations:
            if (migration.source, migration.version) not in known and await _apply(connection, migration, role):
                report.applied.append(str(migration))
        if report.ahead:
            logger.warning("the database is newer than this code", extra={"migrations": report.ahead})
        return report
    finally:
        await connection.close()


async def pending(pool: Pool, sources: Sequence[tuple[str, Path]]) -> list[str]:
    """Files that this code needs and the database lacks; readable by the runtime role."""
    try:
        rows = await pool.fetch("SELECT source, version FROM schema_migrations")
    except asyncpg.UndefinedTableError:
        rows = []
    known = {(row["source"], row["version"]) for row in rows}
    return [str(migration) for migration in load(sources) if (migration.source, migration.version) not in known]


async def _apply(connection: Connection, migration: Migration, role: str) -> bool:
    """Whether this runner applied it; another may have been faster."""
    async with connection.transaction():
        await _lock(connection)
        known = await _applied(connection)
        if (migration.source, migration.version) in known:
            _check([migration], known)
            return False
        await connection.execute(_RUNTIME.sub(lambda _: role, migration.sql))
        await connection.execute(
            "INSERT INTO schema_migrations (source, version, name, checksum) VALUES ($1, $2, $3, $4)",
            migration.source,
            migration.version,
            migration.name,
            migration.checksum,
        )
    logger.info("migration applied", extra={"migration": str(migration)})
    return True


async def _lock(connection: Connection) -> None:
    """One runner at a time. Waiting for another runner may take long; waiting for a live table may not."""
    await connection.execute(f"SET LOCAL lock_timeout = {RUNNER_LOCK_TIMEOUT_MS}")
    await connection.execute(f"SELECT pg_advisory_xact_lock({_ADVISORY_KEY})")
    await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT_MS}")


async def _applied(connection: Connection) -> dict[tuple[str, int], tuple[str, str]]:
    rows = await connection.fetch("SELECT source, version, name, checksum FROM schema_migrations")
    return {(row["source"], row["version"]): (row["name"], row["checksum"]) for row in rows}


def _check(migrations: Sequence[Migration], known: dict[tuple[str, int], tuple[str, str]]) -> None:
    for migration in migrations:
        recorded = known.get((migration.source, migration.version))
        if recorded is not None and recorded != (migration.name, migration.checksum):
            raise ChecksumMismatchError(
                f"{migration} was changed after it had been applied (as {recorded[0]}): add a new file instead"
            )


def _ahead(migrations: Sequence[Migration], known: dict[tuple[str, int], tuple[str, str]]) -> list[str]:
    ours = {(migration.source, migration.version) for migration in migrations}
    return [
        f"{source}/{version:04d}_{name}"
        for (source, version), (name, _) in sorted(known.items())
        if (source, version) not in ours
    ]


def _quote(identifier: str) -> str:
    return '"' + identifier.replace('"', '""') + '"'
