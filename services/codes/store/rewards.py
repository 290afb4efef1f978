"""Rows of what referrals earn."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from decimal import Decimal
from typing import Any

import asyncpg

from libs.events.db import Connection, Pool
from services.codes.domain.referrals.rewards import Promise, RewardRefusal, RewardRole, RewardStatus


@dataclass(frozen=True, slots=True)
class Reward:
    """What somebody gets for a referral, and how far it has come."""

    id: str
    app: str
    referral_id: str
    role: RewardRole
    user_id: str
    via: str | None
    fixed: Decimal
    rate: Decimal
    status: RewardStatus
    due_at: int
    amount: Decimal | None
    month: str | None
    refusal: RewardRefusal | None
    command_id: str | None
    grant_id: str | None
    take_back: bool
    revoke_command_id: str | None

    @property
    def promise(self) -> Promise:
        """What was promised."""
        return Promise(self.role, self.user_id, self.fixed, self.rate)


@dataclass(frozen=True, slots=True)
class Due:
    """A reward whose hold has ended, by the clock of its app; `due_at` is by the real one where the app has its own."""

    id: str
    app: str
    referral_id: str
    due_at: int


_NAMES = [field.name for field in fields(Reward)]
_SELECT = f"SELECT {', '.join(_NAMES)} FROM referral_rewards"


def reward_of(row: asyncpg.Record) -> Reward:
    """The reward in a row."""
    return Reward(**{name: row[name] for name in _NAMES})


async def insert(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add a reward of these columns."""
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await connection.execute(f"INSERT INTO referral_rewards ({', '.join(values)}) VALUES ({places})", *values.values())


async def update(connection: Connection, reward_id: str, values: Mapping[str, Any]) -> None:
    """Set these columns."""
    places = ", ".join(f"{name} = ${n}" for n, name in enumerate(values, start=2))
    await connection.execute(f"UPDATE referral_rewards SET {places} WHERE id = $1", reward_id, *values.values())


async def of_referral(connection: Pool | Connection, referral_id: str, *, lock: bool = False) -> list[Reward]:
    """The rewards of a referral, in the order of their ids."""
    rows = await connection.fetch(
        f"{_SELECT} WHERE referral_id = $1 ORDER BY id" + (" FOR UPDATE" if lock else ""), referral_id
    )
    return [reward_of(row) for row in rows]


async def of_referrals(connection: Pool | Connection, referral_ids: Sequence[str]) -> dict[str, list[Reward]]:
    """The rewards of these referrals."""
    rows = await connection.fetch(f"{_SELECT} WHERE referral_id = ANY ($1) ORDER BY id", list(referral_ids))
    found: dict[str, list[Reward]] = {referral_id: [] for referral_id in referral_ids}
    for row in rows:
        found[row["referral_id"]].append(reward_of(row))
    return found


async def by_id(connection: Connection, reward_id: str) -> Reward:
    """A reward that is there."""
    row = await connection.fetchrow(f"{_SELECT} WHERE id = $1", reward_id)
    assert row is not None  # noqa: S101 - rewards are never deleted
    return reward_of(row)


async def through(connection: Connection, referral_id: str) -> list[str]:
    """The referrals whose second level is this one's referrer, while that reward is not decided on."""
    rows = await connection.fetch(
        "SELECT DISTINCT referral_id FROM referral_rewards WHERE via = $1 AND status IN ('waiting', 'pending')"
        " ORDER BY referral_id",
        referral_id,
    )
    return [row["referral_id"] for row in rows]


async def release(connection: Connection, referral_id: str) -> None:
    """What waited for the approval of this referral waits for the end of its hold, unless it waits for another one's.

    It may be a reward of the referral itself, or of one on whose second level its referrer is.
    """
    await connection.execute(
        "UPDATE referral_rewards w SET status = 'pending' FROM referrals r"
        " WHERE r.id = w.referral_id AND w.status = 'waiting' AND (w.referral_id = $1 OR w.via = $1)"
        " AND r.review <> 'waiting' AND NOT EXISTS ("
        "  SELECT FROM referrals v WHERE v.id = w.via AND v.review = 'waiting')",
        referral_id,
    )


async def due(pool: Pool, now_us: int, app_times: Mapping[str, int], limit: int) -> list[Due]:
    """Rewards whose hold has ended by `now_us`, in apps in test mode by their own clocks; the earliest first."""
    rows = await pool.fetch(
        "(SELECT id, app, referral_id, due_at FROM referral_rewards"
        " WHERE status = 'pending' AND due_at <= $1 AND app <> ALL ($2) ORDER BY due_at, id LIMIT $4)"
        " UNION ALL (SELECT w.id, w.app, w.referral_id, w.due_at FROM unnest($2::text[], $3::bigint[]) AS t (app, now)"
        " JOIN referral_rewards w ON w.app = t.app AND w.due_at <= t.now WHERE w.status = 'pending'"
        " ORDER BY w.due_at, w.id LIMIT $4)",
        now_us,
        list(app_times),
        list(app_times.values()),
        limit,
    )
    return [Due(id_, app, referral, now_us if app in app_times else at) for id_, app, referral, at in rows]


async def waited_for(connection: Connection, command_ids: Sequence[str]) -> set[str]:
    """Which of these commands rewards wait for."""
    rows = await connection.fetch(
        "SELECT command_id AS id FROM referral_rewards WHERE command_id = ANY ($1)"
        " UNION ALL SELECT revoke_command_id FROM referral_rewards WHERE revoke_command_id = ANY ($1)",
        list(command_ids),
    )
    return {row["id"] for row in rows}


async def by_command(connection: Connection, command_id: str) -> Reward | None:
    """The reward that waits for the outcome of a command, locked."""
    row = await connection.fetchrow(f"{_SELECT} WHERE command_id = $1 OR revoke_command_id = $1 FOR UPDATE", command_id)
    return None if row is None else reward_of(row)


async def lock_month(connection: Connection, app: str, user: str, month: str) -> Decimal:
    """What the user has earned in a month; nobody else changes it meanwhile."""
    await connection.execute(
        "INSERT INTO referral_months (app, user_id, month) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING", app, user, month
    )
    return Decimal(
        await connection.fetchval(
            "SELECT earned FROM referral_months WHERE app = $1 AND user_id = $2 AND month = $3 FOR UPDATE",
            app,
            user,
            month,
        )
    )


async def earn(connection: Connection, app: str, user: str, month: str, amount: Decimal) -> None:
    """Count an amount, which may be negative, towards a month."""
    await connection.execute(
        "UPDATE referral_months SET earned = earned + $4 WHERE app = $1 AND user_id = $2 AND month = $3",
        app,
        user,
        month,
        amount,
    )


async def earned_in(connection: Pool | Connection, app: str, user: str, month: str) -> Decimal:
    """What the user has earned in a month."""
    found = await connection.fetchval(
        "SELECT earned FROM referral_months WHERE app = $1 AND user_id = $2 AND month = $3", app, user, month
    )
    return Decimal(0) if found is None else Decimal(found)


async def totals_of(connection: Pool | Connection, app: str, user: str) -> dict[str, tuple[int, Decimal]]:
    """How many rewards a user has in each status, and how many credits those that have an amount come to."""
    rows = await connection.fetch(
        "SELECT status, count(*) AS count, coalesce(sum(amount), 0) AS credits FROM referral_rewards"
        " WHERE app = $1 AND user_id = $2 GROUP BY status",
        app,
        user,
    )
    return {row["status"]: (row["count"], row["credits"]) for row in rows}
