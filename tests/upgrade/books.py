"""Books as an earlier version left them: its migrations, and every row that it wrote, as `corpus/<name>.json`.

A file is an object of table to rows; columns of bytes are hexadecimal, but for those in `TEXTS`, whose bytes are text.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from libs.service.db import Connection, connect
from libs.service.migrations import migrate
from services.ledger.store.setup import SOURCES
from tests.plugins.postgres import Database

CORPUS = Path(__file__).parent / "corpus"
TEXTS = {"events": ("payload",), "results": ("body",), "unique_refs": ("body",)}
Rows = dict[str, list[dict[str, Any]]]


def read_corpus(name: str) -> Rows:
    """The rows of a file, by table."""
    rows: Rows = json.loads((CORPUS / f"{name}.json").read_text(encoding="utf-8"))
    return rows


def sources_of(rows: Rows, directory: Path) -> list[tuple[str, Path]]:
    """The migrations that these books had seen, copied to a directory of their own."""
    found = []
    for source, files in SOURCES:
        known = {
            f"{row['version']:04d}_{row['name']}.sql" for row in rows["schema_migrations"] if row["source"] == source
        }
        copied = directory / source
        copied.mkdir(parents=True)
        for name in known:
            shutil.copy(files / name, copied / name)
        found.append((source, copied))
    return found


async def restore(database: Database, rows: Rows, sources: Sequence[tuple[str, Path]]) -> None:
    """Make an empty database what it was then."""
    await migrate(database.owner_dsn, sources, database.runtime)
    connection = await connect(database.admin_dsn, application_name="restore")
    try:
        await connection.execute("SET session_replication_role = replica")
        for table, kept in rows.items():
            if table != "schema_migrations":
                await connection.execute(f"TRUNCATE {table} CASCADE")
                await _fill(connection, table, kept)
    finally:
        await connection.close()


async def _fill(connection: Connection, table: str, kept: Sequence[dict[str, Any]]) -> None:
    for row in kept:
        stored = row | {name: f"\\x{row[name].encode().hex()}" for name in TEXTS.get(table, ())}
        await connection.execute(
            f"INSERT INTO {table} SELECT * FROM json_populate_record(NULL::{table}, $1)", json.dumps(stored)
        )


async def dump(connection: Connection, tables: Sequence[str]) -> Rows:
    """The rows of tables as a corpus has them."""
    found: Rows = {}
    for table in tables:
        records = await connection.fetch(f"SELECT row_to_json(t)::text AS row FROM {table} t ORDER BY t::text")
        rows = [json.loads(record["row"]) for record in records]
        for row in rows:
            for name in TEXTS.get(table, ()):
                row[name] = bytes.fromhex(row[name][2:]).decode()
        found[table] = rows
    return found
