"""Lists of codes and of batches, the newest first."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.db import Pool
from services.codes.domain.codes import Code
from services.codes.domain.managing import Shown
from services.codes.store.batches import BATCH_COLUMNS, Batch, batch_of
from services.codes.store.codes import READ, code_of

Place = tuple[int, str]
"""When the last one shown was made, and its id: a list goes on behind it."""
FIRST: Place = (2**63 - 1, "~")
"""Before everything: the newest come first."""

_SHOWN = (
    "CASE WHEN status <> 'active' THEN status WHEN ends_at <= $7 THEN 'expired'"
    " WHEN reserved + redeemed >= max_uses OR balance = 0 THEN 'used_up' ELSE 'active' END"
)
_CODES = (
    f"SELECT * FROM (SELECT {READ} FROM codes WHERE app = $1 AND (created_at, id) < ($2, $3)"
    " AND ($4::text IS NULL OR kind = $4) AND ($5::text IS NULL OR batch_id = $5)"
    " AND ($6::text IS NULL OR campaign_id = $6) AND ($8::bytea IS NULL OR digest = $8)) listed"
    f" WHERE $9::text IS NULL OR {_SHOWN} = $9 ORDER BY created_at DESC, id DESC LIMIT $10"
)


@dataclass(frozen=True, slots=True)
class CodesWanted:
    """Which codes of an app; None: any. `status` is as of `now_us`, `digest` is of a text."""

    app: str
    now_us: int
    status: Shown | None = None
    kind: str | None = None
    batch: str | None = None
    campaign: str | None = None
    digest: bytes | None = None


async def codes_page(pool: Pool, wanted: CodesWanted, after: Place, limit: int) -> list[Code]:
    """Codes behind a place."""
    rows = await pool.fetch(
        _CODES,
        wanted.app,
        *after,
        wanted.kind,
        wanted.batch,
        wanted.campaign,
        wanted.now_us,
        wanted.digest,
        wanted.status,
        limit,
    )
    return [code_of(row) for row in rows]


async def batches_page(pool: Pool, app: str, after: Place, limit: int) -> list[Batch]:
    """Batches of an app behind a place."""
    rows = await pool.fetch(
        f"SELECT {BATCH_COLUMNS} FROM batches WHERE app = $1 AND (created_at, id) < ($2, $3)"
        " ORDER BY created_at DESC, id DESC LIMIT $4",
        app,
        *after,
        limit,
    )
    return [batch_of(row) for row in rows]
