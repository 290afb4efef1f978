"""Totals of an app's codes, added up in the database: as a whole, or by something.

What a code is now (active, used up …) is counted at a moment; what was redeemed, refused and paid, within a period.
Both are of one snapshot.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal

from libs.events.db import Connection

By = Literal["code", "batch", "campaign", "kind", "day"]
STATES = ("active", "scheduled", "expired", "used_up", "paused", "void")
"""What a code is at a moment; each is exactly one of them."""

_STATE = (
    "CASE WHEN c.status <> 'active' THEN c.status WHEN c.starts_at > $2 THEN 'scheduled'"
    " WHEN c.ends_at <= $2 THEN 'expired'"
    " WHEN c.reserved + c.redeemed >= c.max_uses OR c.balance = 0 THEN 'used_up' ELSE 'active' END"
)
_KEYS: Mapping[By, str] = {"code": "c.id", "batch": "c.batch_id", "campaign": "c.campaign_id", "kind": "c.kind"}
_DAY = "to_char(to_timestamp({time} / 1000000) AT TIME ZONE $5, 'YYYY-MM-DD')"
ALL = ""
"""The key of totals."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """An app, a moment, and a period [since, until) in microseconds; days are those of `zone`."""

    app: str
    now_us: int
    since_us: int
    until_us: int
    zone: str


@dataclass(slots=True)
class Totals:
    """Of everything, or of one key. `limited_uses` of `max_uses` were taken: those of codes that have a limit."""

    states: dict[str, int] = field(default_factory=dict)
    limited_uses: int = 0
    max_uses: int = 0
    redemptions: int = 0
    users: int = 0
    credits: Decimal = Decimal(0)
    discounts: dict[str, int] = field(default_factory=dict)
    revenue: dict[str, int] = field(default_factory=dict)
    refusals: dict[str, int] = field(default_factory=dict)


async def totals(connection: Connection, wanted: Wanted, by: By | None, keys: Sequence[str]) -> dict[str, Totals]:
    """Totals by key; those of the whole under :data:`ALL` where `by` is None. In the caller's snapshot."""
    found = {key: Totals() for key in ([ALL] if by is None else keys)}
    if by != "day":
        await _states(connection, wanted, by, keys, found)
    await _redeemed(connection, wanted, by, keys, found)
    await _paid(connection, wanted, by, keys, found)
    await _refused(connection, wanted, by, keys, found)
    return found


async def most_used(
    connection: Connection, wanted: Wanted, after: tuple[int, str] | None, limit: int
) -> list[tuple[str, int]]:
    """Ids of codes that were entered in the period, with their redemptions; the most used first."""
    rows = await connection.fetch(
        "SELECT code_id, sum(n)::bigint AS n FROM (SELECT code_id, count(*) AS n FROM redemptions"
        " WHERE app = $1 AND status = 'confirmed' AND ended_at >= $2 AND ended_at < $3 GROUP BY code_id"
        " UNION ALL SELECT DISTINCT code_id, 0 FROM refusals"
        " WHERE app = $1 AND code_id IS NOT NULL AND refused_at >= $2 AND refused_at < $3) AS entered"
        " GROUP BY code_id HAVING $4::bigint IS NULL OR sum(n) < $4 OR (sum(n) = $4 AND code_id > $5)"
        " ORDER BY n DESC, code_id LIMIT $6",
        wanted.app,
        wanted.since_us,
        wanted.until_us,
        *(after or (None, None)),
        limit,
    )
    return [(row["code_id"], row["n"]) for row in rows]


async def keys_of(connection: Connection, wanted: Wanted, by: By, after: str, limit: int) -> list[str]:
    """Keys behind `after`, in their order: batches, campaigns, kinds that there are, and days that saw something."""
    if by == "day":
        query = " UNION ".join(
            f"SELECT {_DAY.format(time=time)} AS key FROM {table} WHERE app = $1 AND {time} >= $3 AND {time} < $4{more}"
            for table, time, more in (
                ("redemptions", "ended_at", " AND status = 'confirmed'"),
                ("refusals", "refused_at", ""),
                ("order_revenue", "paid_at", ""),
            )
        )
        rows = await connection.fetch(
            f"SELECT key FROM ({query}) AS days WHERE key > $2 ORDER BY key LIMIT $6",
            wanted.app,
            after,
            wanted.since_us,
            wanted.until_us,
            wanted.zone,
            limit,
        )
    else:
        query = {
            "batch": "SELECT id AS key FROM batches WHERE app = $1",
            "campaign": "SELECT id AS key FROM campaigns WHERE app = $1",
            "kind": "SELECT DISTINCT kind AS key FROM codes WHERE app = $1",
        }[by]
        rows = await connection.fetch(
            f"SELECT key FROM ({query}) AS k WHERE key > $2 ORDER BY key LIMIT $3", wanted.app, after, limit
        )
    return [row["key"] for row in rows]


async def labels(connection: Connection, by: By, keys: Sequence[str]) -> dict[str, str]:
    """What people call these keys, where they have a name."""
    query = {
        "code": "SELECT id, coalesce(name, text, '…' || last4) AS label FROM codes WHERE id = ANY($1)",
        "batch": "SELECT id, name AS label FROM batches WHERE id = ANY($1)",
        "campaign": "SELECT id, name AS label FROM campaigns WHERE id = ANY($1)",
    }.get(by)
    if query is None:
        return {}
    return {row["id"]: row["label"] for row in await connection.fetch(query, keys)}


def _of(by: By | None, time: str, key_parameter: int) -> tuple[str, str]:
    """The expression of the key, and the condition that it is one of those asked for."""
    if by is None:
        return f"'{ALL}'", ""
    key = _DAY.format(time=time) if by == "day" else _KEYS[by]
    return key, f" AND {key} = ANY(${key_parameter})"


async def _states(
    connection: Connection, wanted: Wanted, by: By | None, keys: Sequence[str], found: dict[str, Totals]
) -> None:
    key, among = _of(by, "", 3)
    rows = await connection.fetch(
        f"SELECT {key} AS key, {_STATE} AS state, count(*) AS number,"
        " coalesce(sum(c.redeemed) FILTER (WHERE c.max_uses IS NOT NULL), 0)::bigint AS uses,"
        " coalesce(sum(c.max_uses), 0)::bigint AS max_uses"
        f" FROM codes c WHERE c.app = $1{among} GROUP BY 1, 2",
        wanted.app,
        wanted.now_us,
        *([] if by is None else [keys]),
    )
    for row in rows:
        total = found[row["key"]]
        total.states[row["state"]] = row["number"]
        total.limited_uses += row["uses"]
        total.max_uses += row["max_uses"]


async def _redeemed(
    connection: Connection, wanted: Wanted, by: By | None, keys: Sequence[str], found: dict[str, Totals]
) -> None:
    key, among = _of(by, "r.ended_at", 4)
    source = (
        f"FROM redemptions r JOIN codes c ON c.id = r.code_id WHERE r.app = $1 AND r.status = 'confirmed'"
        f" AND r.ended_at >= $2 AND r.ended_at < $3{among}"
    )
    arguments = _arguments(wanted, by, keys)
    rows = await connection.fetch(
        f"SELECT {key} AS key, count(*) AS number, count(DISTINCT r.user_id) AS users,"
        f" coalesce(sum(r.amount), 0) AS credits {source} GROUP BY 1",
        *arguments,
    )
    for row in rows:
        total = found[row["key"]]
        total.redemptions, total.users, total.credits = row["number"], row["users"], row["credits"]
    rows = await connection.fetch(
        f"SELECT {key} AS key, r.currency, sum(r.discount_minor)::bigint AS minor {source}"
        " AND r.discount_minor IS NOT NULL AND r.currency IS NOT NULL GROUP BY 1, 2",
        *arguments,
    )
    for row in rows:
        found[row["key"]].discounts[row["currency"]] = row["minor"]


async def _paid(
    connection: Connection, wanted: Wanted, by: By | None, keys: Sequence[str], found: dict[str, Totals]
) -> None:
    key, among = _of(by, "o.paid_at", 4)
    # The first codes of an order have the units that are left over, so that all of them together have its sum.
    share = (
        "(o.paid_minor - o.refunded_minor) / cardinality(o.redemptions)"
        " + (part.number <= (o.paid_minor - o.refunded_minor) % cardinality(o.redemptions))::int"
    )
    rows = await connection.fetch(
        f"SELECT {key} AS key, o.currency, sum({share})::bigint AS minor FROM order_revenue o"
        " CROSS JOIN unnest(o.redemptions) WITH ORDINALITY AS part (redemption, number)"
        " JOIN redemptions r ON r.id = part.redemption JOIN codes c ON c.id = r.code_id"
        f" WHERE o.app = $1 AND o.paid_at >= $2 AND o.paid_at < $3{among} GROUP BY 1, 2",
        *_arguments(wanted, by, keys),
    )
    for row in rows:
        found[row["key"]].revenue[row["currency"]] = row["minor"]


async def _refused(
    connection: Connection, wanted: Wanted, by: By | None, keys: Sequence[str], found: dict[str, Totals]
) -> None:
    key, among = _of(by, "f.refused_at", 4)
    # Only what is asked by code needs the code: most refusals of guessers have none.
    codes = "" if by in (None, "day") else " JOIN codes c ON c.id = f.code_id"
    rows = await connection.fetch(
        f"SELECT {key} AS key, f.reason, count(*) AS number FROM refusals f{codes}"
        f" WHERE f.app = $1 AND f.refused_at >= $2 AND f.refused_at < $3{among} GROUP BY 1, 2",
        *_arguments(wanted, by, keys),
    )
    for row in rows:
        found[row["key"]].refusals[row["reason"]] = row["number"]


def _arguments(wanted: Wanted, by: By | None, keys: Sequence[str]) -> list[object]:
    arguments: list[object] = [wanted.app, wanted.since_us, wanted.until_us]
    if by is not None:
        arguments.append(keys)
    if by == "day":
        arguments.append(wanted.zone)
    return arguments
