"""Lists: the accounts of an app, the lots and holds of an account, each behind a place and as far as wanted."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from libs.service.clock import to_datetime
from libs.service.db import Pool
from services.ledger.domain.state import Account
from services.ledger.store import reads
from services.ledger.store.load import Loaded, load_accounts
from services.ledger.store.reads import HoldRow, LotRow, Seen
from services.ledger.store.rows import HOLD_COLUMNS, LOT_COLUMNS

Status = Literal["open", "frozen", "closed"]
_STATUS = (
    "CASE WHEN facts::jsonb -> 'closed_at' IS NOT NULL THEN 'closed'"
    " WHEN facts::jsonb -> 'frozen' IS NOT NULL THEN 'frozen' ELSE 'open' END"
)
_HEADS = "SELECT partition, position FROM heads"


@dataclass(slots=True)
class AccountsWanted:
    """Which accounts of one asset; amounts in units, `plan` by its name."""

    asset: str
    status: Status | None = None
    plan: str | None = None
    settled_min: int | None = None
    settled_max: int | None = None
    owed_min: int | None = None


async def accounts_page(pool: Pool, app: str, wanted: AccountsWanted, after: str, limit: int) -> list[Seen]:
    """Accounts whose user comes after `after`, in the order of users, with their partitions' heads: in one snapshot."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        rows = await connection.fetch(
            "SELECT user_id FROM accounts WHERE app = $1 AND asset = $2 AND user_id > $3"
            f" AND ($4::text IS NULL OR $4 = {_STATUS})"
            " AND ($5::text IS NULL OR $5 = facts::jsonb -> 'allowance' ->> 'plan')"
            " AND ($6::bigint IS NULL OR settled >= $6) AND ($7::bigint IS NULL OR settled <= $7)"
            " AND ($8::bigint IS NULL OR owed >= $8) ORDER BY user_id LIMIT $9",
            app,
            wanted.asset,
            after,
            wanted.status,
            wanted.plan,
            wanted.settled_min,
            wanted.settled_max,
            wanted.owed_min,
            limit,
        )
        if not rows:
            return []
        loaded = Loaded()
        keys = [(app, row["user_id"], wanted.asset) for row in rows]
        await load_accounts(connection, keys, loaded)
        heads = {row["partition"]: row["position"] for row in await connection.fetch(_HEADS)}
    accounts: list[Account] = [loaded.accounts[key] for key in keys]
    return [Seen(account, heads[account.profile.partition]) for account in accounts]


@dataclass(slots=True)
class Between:
    """Made not before `since` and before `until` (microseconds), where those are given."""

    since: int | None = None
    until: int | None = None

    @property
    def moments(self) -> tuple[datetime | None, datetime | None]:
        """As PostgreSQL takes them."""
        return (
            None if self.since is None else to_datetime(self.since),
            None if self.until is None else to_datetime(self.until),
        )


@dataclass(slots=True)
class LotsWanted(Between):
    """Which lots of an account: those that can still be used or `every` one."""

    every: bool = False
    source: str | None = None


@dataclass(slots=True)
class HoldsWanted(Between):
    """Which holds of an account: open ones or `every` one, or those with a status."""

    every: bool = False
    status: str | None = None


async def lots_page(pool: Pool, key: tuple[str, str, str], wanted: LotsWanted, after: str, limit: int) -> list[LotRow]:
    """Lots of an account in order of their ids."""
    rows = await pool.fetch(
        f"SELECT {LOT_COLUMNS} FROM lots WHERE app = $1 AND user_id = $2 AND asset = $3 AND id > $4"
        " AND (live OR $5) AND ($6::text IS NULL OR source = $6) AND ($7::timestamptz IS NULL OR granted_at >= $7)"
        " AND ($8::timestamptz IS NULL OR granted_at < $8) ORDER BY id LIMIT $9",
        *key,
        after,
        wanted.every,
        wanted.source,
        *wanted.moments,
        limit,
    )
    return [reads.lot_row(row) for row in rows]


async def holds_page(
    pool: Pool, key: tuple[str, str, str], wanted: HoldsWanted, after: str, limit: int
) -> list[HoldRow]:
    """Holds of an account in order of their ids."""
    rows = await pool.fetch(
        f"SELECT {HOLD_COLUMNS} FROM holds WHERE app = $1 AND user_id = $2 AND asset = $3 AND id > $4"
        " AND (status = 'open' OR $5 OR $6::text IS NOT NULL) AND ($6::text IS NULL OR status = $6)"
        " AND ($7::timestamptz IS NULL OR created_at >= $7) AND ($8::timestamptz IS NULL OR created_at < $8)"
        " ORDER BY id LIMIT $9",
        *key,
        after,
        wanted.every,
        wanted.status,
        *wanted.moments,
        limit,
    )
    return [reads.hold_row(row) for row in rows]
