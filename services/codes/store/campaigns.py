"""Rows of campaigns: what codes may give together."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import asyncpg

from libs.events.db import Connection, Pool

Status = Literal["active", "paused", "void"]

_NAMES = (
    *("id", "app", "name", "budget", "reserved", "spent", "budget_minor", "reserved_minor", "spent_minor", "currency"),
    *("status", "version", "created_at", "created_by"),
)
_COLUMNS = ", ".join(_NAMES)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A campaign; times are microseconds since the epoch.

    `budget` is in credits, `budget_minor` in minor units of `currency`; None: any amount. What is reserved counts as
    spent until it is released.
    """

    id: str
    app: str
    name: str
    budget: Decimal | None
    budget_minor: int | None
    currency: str | None
    created_at: int
    created_by: str
    reserved: Decimal = Decimal(0)
    spent: Decimal = Decimal(0)
    reserved_minor: int = 0
    spent_minor: int = 0
    status: Status = "active"
    version: int = 1


def _of(row: asyncpg.Record) -> Campaign:
    return Campaign(**{name: row[name] for name in _NAMES})


async def insert(connection: Connection, campaign: Campaign) -> bool:
    """Add a campaign; False if the app has one of this name."""
    status = await connection.execute(
        "INSERT INTO campaigns (id, app, name, budget, budget_minor, currency, created_at, created_by)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (app, name) DO NOTHING",
        campaign.id,
        campaign.app,
        campaign.name,
        campaign.budget,
        campaign.budget_minor,
        campaign.currency,
        campaign.created_at,
        campaign.created_by,
    )
    return status.endswith("1")


async def find(connection: Pool | Connection, app: str, campaign_id: str, *, lock: bool = False) -> Campaign | None:
    """The campaign of this id, locked if that is asked for; before any code."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS} FROM campaigns WHERE app = $1 AND id = $2" + (" FOR UPDATE" if lock else ""),
        app,
        campaign_id,
    )
    return None if row is None else _of(row)


async def update(connection: Connection, campaign: Campaign) -> None:
    """Write down what may be changed of a locked campaign, as its next version."""
    await connection.execute(
        "UPDATE campaigns SET budget = $2, budget_minor = $3, currency = $4, status = $5, version = $6 WHERE id = $1",
        campaign.id,
        campaign.budget,
        campaign.budget_minor,
        campaign.currency,
        campaign.status,
        campaign.version,
    )


async def page(
    pool: Pool, app: str, status: Status | None, after: tuple[int, str] | None, limit: int
) -> list[Campaign]:
    """Campaigns of an app, the newest first, after (`created_at`, id) of the page before."""
    rows = await pool.fetch(
        f"SELECT {_COLUMNS} FROM campaigns WHERE app = $1 AND ($2::text IS NULL OR status = $2)"
        " AND ($3::bigint IS NULL OR (created_at, id) < ($3, $4)) ORDER BY created_at DESC, id DESC LIMIT $5",
        app,
        status,
        *(after or (None, None)),
        limit,
    )
    return [_of(row) for row in rows]
