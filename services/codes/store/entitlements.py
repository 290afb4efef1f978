"""Rows of entitlements: discounts of codes that were redeemed without a checkout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import asyncpg

from libs.events.db import Connection, Pool
from services.codes.domain.discounts import Discount

_FIELDS = ("id", "app", "redemption_id", "code_id", "user_id", "status", "created_at", "ends_at")
_TERMS = ("percent_off", "amount_off_minor", "currency", "min_minor", "max_off_minor", "service")
_FROM = (
    f"SELECT {', '.join(f'e.{name}' for name in _FIELDS)}, {', '.join(f'c.{name}' for name in _TERMS)}, c.name"
    " FROM entitlements e JOIN codes c ON c.id = e.code_id"
)


@dataclass(frozen=True, slots=True)
class Entitlement:
    """The discount of a code that a user may take once, until just before `ends_at` (microseconds since the epoch)."""

    id: str
    app: str
    redemption_id: str
    code_id: str
    user_id: str
    status: Literal["available", "reserved", "used", "void"]
    created_at: int
    ends_at: int
    discount: Discount
    name: str | None = None


def _of(row: asyncpg.Record) -> Entitlement:
    discount = Discount(**{name: row[name] for name in _TERMS})
    return Entitlement(**{name: row[name] for name in _FIELDS}, discount=discount, name=row["name"])


async def insert(connection: Connection, entitlement: Entitlement) -> None:
    """Add what a redemption left; there is one of each."""
    await connection.execute(
        "INSERT INTO entitlements (id, app, redemption_id, code_id, user_id, status, created_at, ends_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (redemption_id) DO NOTHING",
        entitlement.id,
        entitlement.app,
        entitlement.redemption_id,
        entitlement.code_id,
        entitlement.user_id,
        entitlement.status,
        entitlement.created_at,
        entitlement.ends_at,
    )


async def by_id(connection: Pool | Connection, app: str, entitlement_id: str) -> Entitlement | None:
    """The entitlement of this id, unlocked."""
    row = await connection.fetchrow(f"{_FROM} WHERE e.app = $1 AND e.id = $2", app, entitlement_id)
    return None if row is None else _of(row)


async def usable(
    connection: Connection, code_id: str, user: str, now_us: int, named: str | None = None
) -> Entitlement | None:
    """What the user may take of a locked code without another use: the one named, or the one that ends first."""
    row = await connection.fetchrow(
        f"{_FROM} WHERE e.code_id = $1 AND e.user_id = $2 AND e.status = 'available'"
        " AND e.ends_at > $3 AND ($4::text IS NULL OR e.id = $4) ORDER BY e.ends_at, e.id LIMIT 1 FOR UPDATE OF e",
        code_id,
        user,
        now_us,
        named,
    )
    return None if row is None else _of(row)


async def refresh(connection: Connection, ids: Sequence[str]) -> None:
    """Give entitlements of locked codes the status that follows from the redemptions that took them."""
    await connection.execute(
        "UPDATE entitlements e SET status = coalesce((SELECT CASE WHEN bool_or(r.status = 'confirmed') THEN 'used'"
        " WHEN bool_or(r.status = 'reserved') THEN 'reserved' END FROM redemptions r WHERE r.entitlement_id = e.id"
        " AND r.checkout IS NOT NULL),"
        " 'available') WHERE e.id = ANY($1) AND e.status <> 'void'",
        ids,
    )


async def page(
    pool: Pool, app: str, user: str, *, now_us: int, after: tuple[int, str] | None, limit: int
) -> list[Entitlement]:
    """A user's entitlements that have not ended, the earliest end first, after (`ends_at`, id) of the page before."""
    rows = await pool.fetch(
        f"{_FROM} WHERE e.app = $1 AND e.user_id = $2 AND e.ends_at > $3"
        " AND ($4::bigint IS NULL OR (e.ends_at, e.id) > ($4, $5)) ORDER BY e.ends_at, e.id LIMIT $6",
        app,
        user,
        now_us,
        *(after or (None, None)),
        limit,
    )
    return [_of(row) for row in rows]
