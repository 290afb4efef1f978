"""Rows of referrals: codes that are somebody's own, signals, who came by whom."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import asyncpg

from libs.events.db import Connection, Pool
from services.codes.domain.referrals.binding import Known
from services.codes.domain.referrals.rewards import ReferralRefusal, Review, Status
from services.codes.domain.referrals.signals import Digests, SignalKind


@dataclass(frozen=True, slots=True)
class Referral:
    """Who came by whom, and how far it has come; times are microseconds since the epoch."""

    id: str
    app: str
    referee: str
    referrer: str
    code_id: str
    status: Status
    review: Review
    flags: Sequence[str]
    refusal: ReferralRefusal | None
    bound_at: int
    bound_by: str
    order_id: str | None
    order_minor: int | None
    refunded_minor: int
    currency: str | None
    paid_at: int | None
    due_at: int | None
    terms: str | None
    reviewed_at: int | None
    reviewed_by: str | None
    review_reason: str | None
    ended_at: int | None


_NAMES = [field.name for field in fields(Referral)]
_SELECT = f"SELECT {', '.join(_NAMES)} FROM referrals"


def referral_of(row: asyncpg.Record) -> Referral:
    """The referral in a row."""
    return Referral(**{name: row[name] for name in _NAMES})


async def own_code(connection: Pool | Connection, app: str, user: str, *, chosen: bool | None = None) -> str | None:
    """The text of the user's own code: the one made last, or the last (not) `chosen`."""
    text: str | None = await connection.fetchval(
        "SELECT c.text FROM referral_codes r JOIN codes c ON c.id = r.code_id"
        " WHERE r.app = $1 AND r.user_id = $2 AND ($3::boolean IS NULL OR r.chosen = $3)"
        " ORDER BY r.made_at DESC, r.code_id DESC LIMIT 1",
        app,
        user,
        chosen,
    )
    return text


async def count_codes(connection: Connection, app: str, user: str) -> int:
    """How many codes the user has had."""
    return int(
        await connection.fetchval("SELECT count(*) FROM referral_codes WHERE app = $1 AND user_id = $2", app, user)
    )


async def add_own_code(
    connection: Connection, app: str, user: str, code_id: str, *, chosen: bool, made_at: int
) -> bool:
    """Make a code the user's own; False if another request has made their generated one meanwhile."""
    status = await connection.execute(
        "INSERT INTO referral_codes (code_id, app, user_id, chosen, made_at) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT DO NOTHING",
        code_id,
        app,
        user,
        chosen,
        made_at,
    )
    return status.endswith("1")


async def owner_of(connection: Connection, app: str, code_id: str) -> str | None:
    """Whose code it is."""
    owner: str | None = await connection.fetchval(
        "SELECT user_id FROM referral_codes WHERE app = $1 AND code_id = $2", app, code_id
    )
    return owner


async def see(connection: Connection, app: str, user: str, signals: Digests, now_us: int) -> None:
    """Remember what was seen of a user."""
    await connection.execute(
        "INSERT INTO referral_signals (app, user_id, kind, digest, seen_at)"
        " SELECT $1, $2, kind, digest, $5 FROM unnest($3::text[], $4::bytea[]) AS s (kind, digest)"
        " ON CONFLICT (app, user_id, kind, digest) DO UPDATE SET seen_at = excluded.seen_at",
        app,
        user,
        list(signals),
        list(signals.values()),
        now_us,
    )


async def seen_of(connection: Connection, app: str, users: Collection[str]) -> set[tuple[SignalKind, bytes]]:
    """What was seen of any of these users."""
    rows = await connection.fetch(
        "SELECT DISTINCT kind, digest FROM referral_signals WHERE app = $1 AND user_id = ANY ($2)", app, list(users)
    )
    return {(row["kind"], row["digest"]) for row in rows}


async def seen_among(connection: Connection, app: str, referrer: str, signals: Digests) -> Known:
    """Which of these signals were seen of the referrer or of somebody whom they brought."""
    rows = await connection.fetch(
        "SELECT DISTINCT s.kind, s.digest FROM unnest($3::text[], $4::bytea[]) AS mine (kind, digest)"
        " JOIN referral_signals s ON s.kind = mine.kind AND s.digest = mine.digest AND s.app = $1"
        " WHERE s.user_id = $2 OR EXISTS ("
        "  SELECT FROM referrals r WHERE r.app = $1 AND r.referee = s.user_id AND r.referrer = $2)",
        app,
        referrer,
        list(signals),
        list(signals.values()),
    )
    return {(row["kind"], row["digest"]) for row in rows}


async def lock_app(connection: Connection, app: str) -> None:
    """One binding of an app at a time."""
    await connection.execute("INSERT INTO referral_apps (app) VALUES ($1) ON CONFLICT DO NOTHING", app)
    await connection.execute("SELECT FROM referral_apps WHERE app = $1 FOR UPDATE", app)


async def upward(connection: Connection, app: str, user: str) -> list[str]:
    """The user, who brought them, who brought those, and so on to the top."""
    rows = await connection.fetch(
        "WITH RECURSIVE above (user_id, level) AS ("
        " SELECT $2::text, 0 UNION ALL"
        " SELECT r.referrer, a.level + 1 FROM above a JOIN referrals r ON r.app = $1 AND r.referee = a.user_id)"
        " SELECT user_id FROM above ORDER BY level",
        app,
        user,
    )
    return [row["user_id"] for row in rows]


async def count_since(connection: Connection, app: str, referrer: str, since_us: int) -> int:
    """How many the referrer has brought since then."""
    return int(
        await connection.fetchval(
            "SELECT count(*) FROM referrals WHERE app = $1 AND referrer = $2 AND bound_at > $3", app, referrer, since_us
        )
    )


async def insert(connection: Connection, values: Mapping[str, Any]) -> None:
    """Add a referral of these columns."""
    places = ", ".join(f"${n}" for n in range(1, len(values) + 1))
    await connection.execute(f"INSERT INTO referrals ({', '.join(values)}) VALUES ({places})", *values.values())


async def update(connection: Connection, referral_id: str, values: Mapping[str, Any]) -> None:
    """Set these columns."""
    places = ", ".join(f"{name} = ${n}" for n, name in enumerate(values, start=2))
    await connection.execute(f"UPDATE referrals SET {places} WHERE id = $1", referral_id, *values.values())


async def of_referee(connection: Pool | Connection, app: str, referee: str, *, lock: bool = False) -> Referral | None:
    """By whom somebody came."""
    row = await connection.fetchrow(
        f"{_SELECT} WHERE app = $1 AND referee = $2" + (" FOR UPDATE" if lock else ""), app, referee
    )
    return None if row is None else referral_of(row)


async def by_id(connection: Pool | Connection, referral_id: str) -> Referral:
    """A referral that is there."""
    row = await connection.fetchrow(f"{_SELECT} WHERE id = $1", referral_id)
    assert row is not None  # noqa: S101 - referrals are never deleted
    return referral_of(row)


async def locked(connection: Connection, app: str, referral_id: str) -> Referral | None:
    """A referral that nobody else changes meanwhile."""
    row = await connection.fetchrow(f"{_SELECT} WHERE app = $1 AND id = $2 FOR UPDATE", app, referral_id)
    return None if row is None else referral_of(row)


@dataclass(frozen=True, slots=True)
class Refund:
    """What went back of an order so far, whether that is all of it, and when."""

    order_id: str
    refunded_minor: int
    whole: bool
    refunded_at: int


async def note_refund(connection: Connection, app: str, refund: Refund) -> None:
    """Remember a refund of an order that was not told as paid yet."""
    await connection.execute(
        "INSERT INTO referral_refunds AS known (app, order_id, refunded_minor, whole, refunded_at)"
        " VALUES ($1, $2, $3, $4, $5) ON CONFLICT (app, order_id) DO UPDATE SET whole = excluded.whole,"
        "  refunded_minor = excluded.refunded_minor, refunded_at = excluded.refunded_at"
        " WHERE known.refunded_minor < excluded.refunded_minor",
        app,
        refund.order_id,
        refund.refunded_minor,
        refund.whole,
        refund.refunded_at,
    )


async def take_refund(connection: Connection, app: str, order_id: str) -> Refund | None:
    """What was noted of an order; it is not noted any more."""
    row = await connection.fetchrow(
        "DELETE FROM referral_refunds WHERE app = $1 AND order_id = $2"
        " RETURNING order_id, refunded_minor, whole, refunded_at",
        app,
        order_id,
    )
    return None if row is None else Refund(*row)


async def settle(connection: Connection, referral_id: str, now_us: int) -> None:
    """Nothing is left to decide on, if that is so."""
    await connection.execute(
        "UPDATE referrals SET status = 'settled', ended_at = $2 WHERE id = $1 AND status = 'on_hold' AND NOT EXISTS ("
        " SELECT FROM referral_rewards WHERE referral_id = $1 AND status IN ('waiting', 'pending'))",
        referral_id,
        now_us,
    )


@dataclass(frozen=True, slots=True)
class Wanted:
    """Filters of a list; None: any. `status` may also be `flagged`: what waits for somebody's approval."""

    status: str | None = None
    referrer: str | None = None
    referee: str | None = None


async def listed(
    connection: Pool | Connection, app: str, wanted: Wanted, before: tuple[int, str] | None, limit: int
) -> list[Referral]:
    """Referrals behind a place (`bound_at`, `id`), the newest first."""
    arguments: list[Any] = [app]
    conditions = ["app = $1"]

    def where(condition: str, *values: Any) -> None:
        places = range(len(arguments) + 1, len(arguments) + len(values) + 1)
        conditions.append(condition.format(*(f"${place}" for place in places)))
        arguments.extend(values)

    if wanted.status == "flagged":
        where("review = 'waiting' AND status <> 'refused'")
    elif wanted.status is not None:
        where("status = {0}", wanted.status)
    if wanted.referrer is not None:
        where("referrer = {0}", wanted.referrer)
    if wanted.referee is not None:
        where("referee = {0}", wanted.referee)
    if before is not None:
        where("(bound_at, id) < ({0}, {1})", *before)
    where("true ORDER BY bound_at DESC, id DESC LIMIT {0}", limit)
    rows = await connection.fetch(f"{_SELECT} WHERE {' AND '.join(conditions)}", *arguments)
    return [referral_of(row) for row in rows]


async def counts_of(connection: Pool | Connection, app: str, referrer: str) -> dict[str, int]:
    """How many the referrer has brought, by status; `flagged` are those that wait for approval."""
    rows = await connection.fetch(
        "SELECT CASE WHEN review = 'waiting' AND status <> 'refused' THEN 'flagged' ELSE status END AS status,"
        " count(*) AS count FROM referrals WHERE app = $1 AND referrer = $2 GROUP BY 1",
        app,
        referrer,
    )
    return {row["status"]: row["count"] for row in rows}
