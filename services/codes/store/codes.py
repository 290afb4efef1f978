"""Rows of codes, campaigns and customers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

import asyncpg
import orjson

from libs.events.db import Connection, Pool
from services.codes.domain.codes import Audience, Code, Credits, Terms
from services.codes.domain.discounts import Discount

COLUMNS = (
    "id, app, batch_id, campaign_id, kind, text, last4, name, amount, percent_off, amount_off_minor, currency,"
    " min_minor, max_off_minor, service, max_uses, per_user_limit, starts_at, ends_at, scope, source, expires_after_s,"
    " audience, status, reserved, redeemed, balance, frozen_at, version, created_at, created_by"
)
NAMES = [*COLUMNS.split(", "), "digest"]
_INSERT = (
    f"INSERT INTO codes ({', '.join(NAMES)}, used_before)"
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(NAMES) + 1))}, ${NAMES.index('redeemed') + 1})"
    " ON CONFLICT (app, digest) DO NOTHING"
)
"""What a new code has been redeemed was elsewhere."""
_UPDATE = (
    f"UPDATE codes SET {', '.join(f'{name} = ${n}' for n, name in enumerate(NAMES[2:-1], 3))}"
    " WHERE id = $1 AND app = $2"
)
READ = COLUMNS.replace(
    " status,",
    " CASE WHEN EXISTS (SELECT FROM batches b WHERE b.id = codes.batch_id AND b.status = 'void')"
    " THEN 'void' ELSE codes.status END AS status,",
)
"""The columns as they are read: a code of a void batch is void, also before the worker has come to it."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """What a campaign may still give."""

    id: str
    active: bool
    left: Decimal | None
    left_minor: int | None
    currency: str | None


def code_of(row: asyncpg.Record) -> Code:
    """The code in a row."""
    promised = None
    if row["amount"] is not None:
        promised = Credits(row["amount"], tuple(row["scope"]), row["source"], row["expires_after_s"])
    discount = None
    if row["percent_off"] is not None or row["amount_off_minor"] is not None:
        discount = Discount(
            row["percent_off"],
            row["amount_off_minor"],
            row["currency"],
            row["min_minor"],
            row["max_off_minor"],
            row["service"],
        )
    same = {
        name: row[name]
        for name in (
            *("id", "app", "batch_id", "campaign_id", "kind", "text", "last4", "name", "max_uses", "per_user_limit"),
            *("starts_at", "ends_at", "status", "reserved", "redeemed", "balance", "frozen_at", "version"),
            *("created_at", "created_by"),
        )
    }
    return Code(terms=Terms(promised, discount), audience=audience_of(row["audience"]), **same)


def audience_of(document: str | None) -> Audience:
    """The audience in a column."""
    if document is None:
        return Audience()
    fields = orjson.loads(document)
    return Audience(fields["who"], frozenset(fields.get("users", ())), fields.get("days", Audience().days))


def audience_json(audience: Audience) -> str | None:
    """The column of an audience."""
    if audience.who == "everyone":
        return None
    fields = {"who": audience.who, "users": sorted(audience.users), "days": audience.days}
    return orjson.dumps(fields).decode()


def values_of(code: Code, digest: bytes) -> tuple[object, ...]:
    """The code as a row of :data:`COLUMNS`, then its digest."""
    promised, discount = code.terms.credits, code.terms.discount or Discount()
    return (
        code.id,
        code.app,
        code.batch_id,
        code.campaign_id,
        code.kind,
        code.text,
        code.last4,
        code.name,
        None if promised is None else promised.amount,
        discount.percent_off,
        discount.amount_off_minor,
        discount.currency,
        discount.min_minor,
        discount.max_off_minor,
        discount.service,
        code.max_uses,
        code.per_user_limit,
        code.starts_at,
        code.ends_at,
        [] if promised is None else list(promised.scope),
        None if promised is None else promised.source,
        None if promised is None else promised.expires_after_s,
        audience_json(code.audience),
        code.status,
        code.reserved,
        code.redeemed,
        code.balance,
        code.frozen_at,
        code.version,
        code.created_at,
        code.created_by,
        digest,
    )


async def insert(connection: Connection, code: Code, digest: bytes) -> bool:
    """Add a code; False if the app has one of this text."""
    return (await connection.execute(_INSERT, *values_of(code, digest))).endswith("1")


async def update(connection: Connection, code: Code) -> None:
    """Write a locked code down as it has become."""
    await connection.execute(_UPDATE, *values_of(code, b"")[:-1])


async def has_campaign(connection: Connection, app: str, campaign_id: str) -> bool:
    """Whether the app has a campaign of this id."""
    query = "SELECT true FROM campaigns WHERE app = $1 AND id = $2"
    return bool(await connection.fetchval(query, app, campaign_id))


async def by_digest(connection: Pool | Connection, app: str, digest: bytes) -> Code | None:
    """The code of this text, unlocked."""
    row = await connection.fetchrow(f"SELECT {READ} FROM codes WHERE app = $1 AND digest = $2", app, digest)
    return None if row is None else code_of(row)


async def by_id(connection: Pool | Connection, app: str, code_id: str) -> Code | None:
    """The code of this id, unlocked."""
    row = await connection.fetchrow(f"SELECT {READ} FROM codes WHERE app = $1 AND id = $2", app, code_id)
    return None if row is None else code_of(row)


async def campaign_of(connection: Connection, code_id: str) -> str | None:
    """The campaign of a code, which it never changes."""
    found: str | None = await connection.fetchval("SELECT campaign_id FROM codes WHERE id = $1", code_id)
    return found


async def lock_campaigns(connection: Connection, ids: Sequence[str]) -> dict[str, Campaign]:
    """Lock these campaigns, in the order of their ids; before any code."""
    rows = await connection.fetch(
        "SELECT id, status = 'active' AS active, budget - reserved - spent AS left,"
        " budget_minor - reserved_minor - spent_minor AS left_minor,"
        " CASE WHEN budget_minor IS NOT NULL THEN currency END AS currency"
        " FROM campaigns WHERE id = ANY($1) ORDER BY id FOR UPDATE",
        ids,
    )
    return {row["id"]: Campaign(**row) for row in rows}


async def lock_codes(connection: Connection, ids: Sequence[str]) -> dict[str, Code]:
    """Lock these codes, in the order of their ids; after campaigns, before customers."""
    rows = await connection.fetch(f"SELECT {READ} FROM codes WHERE id = ANY($1) ORDER BY id FOR UPDATE", ids)
    return {row["id"]: code_of(row) for row in rows}


async def lock_users(connection: Connection, pairs: Sequence[tuple[str, str]]) -> dict[tuple[str, str], int]:
    """Lock what these users have of these codes, (code, user), in that order; how often each was used."""
    codes, users = [code for code, _ in pairs], [user for _, user in pairs]
    await connection.execute(
        "INSERT INTO code_users (code_id, user_id) SELECT * FROM unnest($1::text[], $2::text[]) AS pair (c, u)"
        " ORDER BY c, u ON CONFLICT DO NOTHING",
        codes,
        users,
    )
    rows = await connection.fetch(
        "SELECT code_id, user_id, reserved + redeemed AS uses FROM code_users"
        " WHERE (code_id, user_id) IN (SELECT * FROM unnest($1::text[], $2::text[]))"
        " ORDER BY code_id, user_id FOR UPDATE",
        codes,
        users,
    )
    return {(row["code_id"], row["user_id"]): row["uses"] for row in rows}


async def customer_of(connection: Connection, app: str, user: str) -> tuple[int | None, int | None]:
    """When the user opened an account and first paid, as far as it was heard."""
    row = await connection.fetchrow(
        "SELECT opened_at, first_paid_at FROM customers WHERE app = $1 AND user_id = $2", app, user
    )
    return (None, None) if row is None else (row["opened_at"], row["first_paid_at"])
