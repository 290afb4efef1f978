"""Rows of redemptions, and the counters that they move."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import asyncpg
import orjson

from libs.events.db import Connection, Pool
from services.codes.domain.codes import Code
from services.codes.domain.redemptions import Redemption

COLUMNS = (
    "r.id, r.app, r.code_id, r.user_id, r.caller, c.kind, r.status, r.reserved_at, c.campaign_id, c.batch_id,"
    " r.checkout, r.amount, r.discount_minor, r.currency, r.entitlement_id, r.command_id, r.granted, r.refusal,"
    " r.expires_at, r.ended_at, c.balance, r.late, r.revoke_id"
)
_FROM = f"SELECT {COLUMNS} FROM redemptions r JOIN codes c ON c.id = r.code_id"
_NAMES = [name.partition(".")[2] for name in COLUMNS.split(", ")]


def redemption_of(row: asyncpg.Record) -> Redemption:
    """The redemption in a row."""
    fields = {name: row[name] for name in _NAMES}
    if fields["granted"] is not None:
        fields["granted"] = orjson.loads(fields["granted"])
    return Redemption(**fields)


async def by_id(connection: Pool | Connection, app: str, redemption_id: str) -> Redemption | None:
    """The redemption of this id, unlocked."""
    row = await connection.fetchrow(f"{_FROM} WHERE r.app = $1 AND r.id = $2", app, redemption_id)
    return None if row is None else redemption_of(row)


async def by_ids(connection: Connection, ids: Sequence[str], *, lock: bool = False) -> list[Redemption]:
    """These redemptions, in the order of their ids; locked only after campaigns, codes and customers."""
    rows = await connection.fetch(
        f"{_FROM} WHERE r.id = ANY($1) ORDER BY r.id" + (" FOR UPDATE OF r" if lock else ""), list(ids)
    )
    return [redemption_of(row) for row in rows]


async def by_commands(connection: Connection, command_ids: Sequence[str]) -> list[Redemption]:
    """Those that sent these commands, for their credits or to take them back."""
    rows = await connection.fetch(f"{_FROM} WHERE r.command_id = ANY($1) OR r.revoke_id = ANY($1)", command_ids)
    return [redemption_of(row) for row in rows]


async def of_checkout(connection: Connection, code_id: str, checkout: str) -> Redemption | None:
    """What the checkout has of the code, whatever became of it."""
    row = await connection.fetchrow(f"{_FROM} WHERE r.code_id = $1 AND r.checkout = $2", code_id, checkout)
    return None if row is None else redemption_of(row)


async def of_order(connection: Connection, app: str, checkout: str, ids: Sequence[str]) -> list[str]:
    """Those of these ids that are the checkout's."""
    rows = await connection.fetch(
        "SELECT id FROM redemptions WHERE app = $1 AND checkout = $2 AND id = ANY($3)", app, checkout, list(ids)
    )
    return [row["id"] for row in rows]


async def put(connection: Connection, redemption: Redemption) -> None:
    """Add a reservation, or take one up again that had ended."""
    await connection.execute(
        "INSERT INTO redemptions (id, app, code_id, user_id, caller, checkout, status, amount, discount_minor,"
        " currency, command_id, reserved_at, expires_at, entitlement_id)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)"
        " ON CONFLICT (id) DO UPDATE SET caller = excluded.caller, status = excluded.status, amount = excluded.amount,"
        " discount_minor = excluded.discount_minor, currency = excluded.currency, reserved_at = excluded.reserved_at,"
        " expires_at = excluded.expires_at, entitlement_id = excluded.entitlement_id, refusal = NULL, ended_at = NULL",
        redemption.id,
        redemption.app,
        redemption.code_id,
        redemption.user_id,
        redemption.caller,
        redemption.checkout,
        redemption.status,
        redemption.amount,
        redemption.discount_minor,
        redemption.currency,
        redemption.command_id,
        redemption.reserved_at,
        redemption.expires_at,
        redemption.entitlement_id,
    )


async def await_outcome(connection: Connection, redemption_id: str, command_id: str) -> None:
    """Let a locked reservation wait for the outcome of a command, without an end of its own."""
    await connection.execute(
        "UPDATE redemptions SET command_id = $2, expires_at = NULL WHERE id = $1", redemption_id, command_id
    )


async def update_ended(connection: Connection, redemption: Redemption) -> None:
    """Write down how a locked redemption has ended."""
    await connection.execute(
        "UPDATE redemptions SET status = $2, granted = $3, refusal = $4, ended_at = $5, expires_at = $6, late = $7,"
        " entitlement_id = $8, command_id = $9, revoke_id = $10 WHERE id = $1",
        redemption.id,
        redemption.status,
        None if redemption.granted is None else orjson.dumps(dict(redemption.granted)).decode(),
        redemption.refusal,
        redemption.ended_at,
        redemption.expires_at,
        redemption.late,
        redemption.entitlement_id,
        redemption.command_id,
        redemption.revoke_id,
    )


async def note_revoked(connection: Connection, redemption_id: str, told: Mapping[str, Any]) -> None:
    """Write down what the ledger answered when the credits of a locked redemption were to be taken back."""
    await connection.execute(
        "UPDATE redemptions SET revoked = $2 WHERE id = $1", redemption_id, orjson.dumps(dict(told)).decode()
    )


async def take_use(connection: Connection, code: Code, user: str, now_us: int) -> bool:
    """Count a reserved use of a locked code; False where a limit leaves none. Its terms are frozen from now on."""
    taken = await connection.fetchval(
        "UPDATE codes SET reserved = reserved + 1, frozen_at = coalesce(frozen_at, $2)"
        " WHERE id = $1 AND (max_uses IS NULL OR reserved + redeemed < max_uses) RETURNING true",
        code.id,
        now_us,
    )
    return bool(taken) and bool(
        await connection.fetchval(
            "UPDATE code_users SET reserved = reserved + 1"
            " WHERE code_id = $1 AND user_id = $2 AND ($3::int IS NULL OR reserved + redeemed < $3) RETURNING true",
            code.id,
            user,
            code.user_limit,
        )
    )


async def move_balances(connection: Connection, moves: Mapping[str, Decimal]) -> None:
    """Add to what is left on locked gift codes."""
    await connection.execute(
        "UPDATE codes c SET balance = c.balance + m.amount FROM unnest($1::text[], $2::numeric[]) AS m (code, amount)"
        " WHERE c.id = m.code",
        list(moves),
        list(moves.values()),
    )


async def take_budget(connection: Connection, campaign_id: str, amount: Decimal, minor: int) -> bool:
    """Reserve some of a locked campaign's budget; False where it is not enough."""
    return bool(
        await connection.fetchval(
            "UPDATE campaigns SET reserved = reserved + $2, reserved_minor = reserved_minor + $3 WHERE id = $1"
            " AND (budget IS NULL OR reserved + spent + $2 <= budget)"
            " AND (budget_minor IS NULL OR reserved_minor + spent_minor + $3 <= budget_minor) RETURNING true",
            campaign_id,
            amount,
            minor,
        )
    )


async def move_uses(connection: Connection, moves: Mapping[tuple[str, str], Sequence[int]]) -> None:
    """Add to the counters of locked codes and customers: (code, user) → (reserved, redeemed)."""
    pairs = list(moves)
    arguments = (
        [code for code, _ in pairs],
        [user for _, user in pairs],
        [moves[pair][0] for pair in pairs],
        [moves[pair][1] for pair in pairs],
    )
    moved = "FROM unnest($1::text[], $2::text[], $3::int[], $4::int[]) AS m (code, usr, res, red)"
    await connection.execute(
        "UPDATE code_users u SET reserved = u.reserved + m.res, redeemed = u.redeemed + m.red"
        f" {moved} WHERE u.code_id = m.code AND u.user_id = m.usr",
        *arguments,
    )
    await connection.execute(
        "UPDATE codes c SET reserved = c.reserved + m.res, redeemed = c.redeemed + m.red"
        f" FROM (SELECT code, sum(res)::int AS res, sum(red)::int AS red {moved} GROUP BY code) m WHERE c.id = m.code",
        *arguments,
    )


async def move_budget(
    connection: Connection,
    campaign_id: str,
    *,
    reserved: Decimal,
    spent: Decimal,
    reserved_minor: int,
    spent_minor: int,
) -> None:
    """Add to the counters of a locked campaign."""
    await connection.execute(
        "UPDATE campaigns SET reserved = reserved + $2, spent = spent + $3, reserved_minor = reserved_minor + $4,"
        " spent_minor = spent_minor + $5 WHERE id = $1",
        campaign_id,
        reserved,
        spent,
        reserved_minor,
        spent_minor,
    )


async def due(pool: Pool, test_clocks: Mapping[str, int], now_us: int, limit: int) -> list[tuple[str, int]]:
    """Reservations whose time is up, by their apps' clocks: (id, due at), the earliest first."""
    rows = await pool.fetch(
        "SELECT r.id, r.expires_at FROM redemptions r"
        " LEFT JOIN unnest($1::text[], $2::bigint[]) AS clock (app, now) USING (app)"
        " WHERE r.status = 'reserved' AND r.expires_at <= coalesce(clock.now, $3) ORDER BY r.expires_at LIMIT $4",
        list(test_clocks),
        list(test_clocks.values()),
        now_us,
        limit,
    )
    return [(row["id"], row["expires_at"]) for row in rows]


async def listed(
    pool: Pool, app: str, filters: Mapping[str, str | None], after: Mapping[str, Any] | None, limit: int
) -> list[Redemption]:
    """Redemptions of the app behind a place, the newest first. `filters`: values of columns, by our own names."""
    conditions, arguments = ["r.app = $1"], [app]
    for column, value in filters.items():
        if value is not None:
            arguments.append(value)
            conditions.append(f"{column} = ${len(arguments)}")
    values: list[object] = list(arguments)
    if after is not None:
        values += [after["reserved_at"], after["id"]]
        conditions.append(f"(r.reserved_at, r.id) < (${len(values) - 1}, ${len(values)})")
    rows = await pool.fetch(
        f"{_FROM} WHERE {' AND '.join(conditions)} ORDER BY r.reserved_at DESC, r.id DESC LIMIT ${len(values) + 1}",
        *values,
        limit,
    )
    return [redemption_of(row) for row in rows]
