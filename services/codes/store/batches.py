"""Rows of batches, and the codes that are made for them by the thousand."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import asyncpg
import orjson

from libs.events.db import Connection, Pool, changed
from services.codes.domain.codes import Code
from services.codes.store.codes import NAMES, values_of

BatchStatus = Literal["making", "ready", "void"]
BATCH_COLUMNS = (
    "id, app, name, campaign_id, spec, count, made, status, next_index, void_index, exported_at, ready_at, created_at,"
    " created_by"
)
_VARYING = {"id": "text", "digest": "bytea", "last4": "text", "batch_index": "bigint"}
"""Columns in which the codes of one batch differ, with their types."""
_CONSTANT = [name for name in NAMES if name not in _VARYING]
_INSERT = (
    f"INSERT INTO codes ({', '.join([*_VARYING, *_CONSTANT])})"
    f" SELECT made.*, {', '.join(f'${number}' for number in range(len(_VARYING) + 1, len(NAMES) + 2))}"
    f" FROM unnest({', '.join(f'${number}::{kind}[]' for number, kind in enumerate(_VARYING.values(), 1))}) AS made"
    " ON CONFLICT (app, digest) DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch of codes: `count` are wanted, `made` are there. `spec` is what was asked for all of them.

    Texts have been tried up to `next_index`, and codes voided up to `void_index`.
    """

    id: str
    app: str
    spec: dict[str, Any]
    count: int
    created_at: int
    created_by: str
    name: str | None = None
    campaign_id: str | None = None
    made: int = 0
    status: BatchStatus = "making"
    next_index: int = 0
    void_index: int = 0
    exported_at: int | None = None
    ready_at: int | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A code that was made for a batch."""

    id: str
    digest: bytes
    last4: str
    index: int


def batch_of(row: asyncpg.Record) -> Batch:
    """The batch in a row."""
    return Batch(**{**row, "spec": orjson.loads(row["spec"])})


async def insert_batch(connection: Connection, batch: Batch, seed: bytes) -> None:
    """Add a batch that is to be made."""
    await connection.execute(
        "INSERT INTO batches (id, app, name, campaign_id, spec, count, seed, created_at, created_by)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
        batch.id,
        batch.app,
        batch.name,
        batch.campaign_id,
        orjson.dumps(batch.spec).decode(),
        batch.count,
        seed,
        batch.created_at,
        batch.created_by,
    )


async def batch_by_id(connection: Pool | Connection, app: str, batch_id: str) -> Batch | None:
    """The batch of this id, unlocked."""
    row = await connection.fetchrow(f"SELECT {BATCH_COLUMNS} FROM batches WHERE app = $1 AND id = $2", app, batch_id)
    return None if row is None else batch_of(row)


async def lock_batch(connection: Connection, batch_id: str) -> tuple[Batch, bytes | None]:
    """Lock a batch; with it what its texts are made from, unless that is destroyed."""
    row = await connection.fetchrow(f"SELECT {BATCH_COLUMNS}, seed FROM batches WHERE id = $1 FOR UPDATE", batch_id)
    if row is None:
        raise LookupError(batch_id)
    fields = dict(row)
    seed: bytes | None = fields.pop("seed")
    return Batch(**{**fields, "spec": orjson.loads(fields["spec"])}), seed


async def to_work_on(pool: Pool, limit: int) -> list[tuple[str, int]]:
    """Batches of which something is to be made or voided: (id, created at), the oldest first."""
    rows = await pool.fetch(
        "SELECT id, created_at FROM batches WHERE status = 'making' OR (status = 'void' AND void_index < next_index)"
        " ORDER BY created_at LIMIT $1",
        limit,
    )
    return [(row["id"], row["created_at"]) for row in rows]


async def insert_made(connection: Connection, template: Code, made: Sequence[Made]) -> int:
    """Add codes that are as `template` in all else; how many, for those whose text the app has already are left out."""
    values = dict(zip(NAMES, values_of(template, b""), strict=True))
    status = await connection.execute(
        _INSERT,
        [one.id for one in made],
        [one.digest for one in made],
        [one.last4 for one in made],
        [one.index for one in made],
        *(values[name] for name in _CONSTANT),
    )
    return changed(status)


async def set_progress(connection: Connection, batch: Batch) -> None:
    """Write down how far a locked batch has come."""
    await connection.execute(
        "UPDATE batches SET made = $2, status = $3, next_index = $4, void_index = $5, ready_at = $6 WHERE id = $1",
        batch.id,
        batch.made,
        batch.status,
        batch.next_index,
        batch.void_index,
        batch.ready_at,
    )


async def destroy_seed(connection: Connection, batch_id: str, exported_at: int | None) -> None:
    """Forget what the texts of a locked batch are made from; nobody can make them again."""
    await connection.execute(
        "UPDATE batches SET seed = NULL, exported_at = coalesce(exported_at, $2) WHERE id = $1", batch_id, exported_at
    )


async def void_made(connection: Connection, batch_id: str, first: int, beyond: int) -> None:
    """Void the codes of a batch with these indexes."""
    await connection.execute(
        "UPDATE codes SET status = 'void', version = version + 1"
        " WHERE batch_id = $1 AND batch_index >= $2 AND batch_index < $3 AND status <> 'void'",
        batch_id,
        first,
        beyond,
    )


async def made_page(pool: Pool, batch_id: str, after: int, limit: int) -> list[tuple[int, str]]:
    """Codes of a batch behind an index, but those that were voided: (index, id)."""
    rows = await pool.fetch(
        "SELECT batch_index, id FROM codes WHERE batch_id = $1 AND batch_index > $2 AND status <> 'void'"
        " ORDER BY batch_index LIMIT $3",
        batch_id,
        after,
        limit,
    )
    return [(row["batch_index"], row["id"]) for row in rows]
