"""Everything that is counted, counted again from the redemptions, in one snapshot of the database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import asyncpg

from libs.events.db import Connection


@dataclass(frozen=True, slots=True)
class Difference:
    """What is stored of a thing is not what its redemptions add up to."""

    app: str
    thing: str
    id: str
    field: str
    stored: str
    counted: str

    def __str__(self) -> str:
        return f"{self.app}: {self.thing} {self.id}: {self.field} is {self.stored}, its redemptions say {self.counted}"


_USES = """
    SELECT code_id, user_id, count(*) FILTER (WHERE status = 'reserved') AS reserved,
        count(*) FILTER (WHERE status = 'confirmed') AS redeemed, count(*) FILTER (WHERE late) AS late,
        sum(amount) FILTER (WHERE status IN ('reserved', 'confirmed')) AS amount
    FROM redemptions WHERE checkout IS NULL OR entitlement_id IS NULL GROUP BY code_id, user_id
"""
"""A discount that was taken by an entitlement is no use: that was counted when its code was redeemed."""

_CODES = f"""
    SELECT c.app, c.id, c.reserved, c.redeemed, c.balance, c.max_uses, coalesce(u.reserved, 0) AS said_reserved,
        c.used_before + coalesce(u.redeemed, 0) AS said_redeemed,
        CASE WHEN c.balance IS NOT NULL THEN c.amount - coalesce(u.amount, 0) END AS said_balance,
        c.max_uses + coalesce(u.late, 0) AS said_max_uses, c.reserved + c.redeemed AS uses
    FROM codes c LEFT JOIN (
        SELECT code_id, sum(reserved)::int AS reserved, sum(redeemed)::int AS redeemed, sum(amount) AS amount,
            sum(late)::int AS late
        FROM ({_USES}) each GROUP BY code_id
    ) u ON u.code_id = c.id
    WHERE (c.reserved, c.redeemed) <> (coalesce(u.reserved, 0), c.used_before + coalesce(u.redeemed, 0))
        OR c.balance <> c.amount - coalesce(u.amount, 0) OR c.reserved + c.redeemed > c.max_uses + coalesce(u.late, 0)
    ORDER BY c.app, c.id
"""

_USERS = f"""
    SELECT c.app, code_id || ' of ' || user_id AS id, coalesce(s.reserved, 0) AS reserved,
        coalesce(s.redeemed, 0) AS redeemed, coalesce(u.reserved, 0) AS said_reserved,
        coalesce(u.redeemed, 0) AS said_redeemed
    FROM code_users s FULL JOIN ({_USES}) u USING (code_id, user_id) JOIN codes c ON c.id = code_id
    WHERE (coalesce(s.reserved, 0), coalesce(s.redeemed, 0)) <> (coalesce(u.reserved, 0), coalesce(u.redeemed, 0))
    ORDER BY 1, 2
"""

_CAMPAIGNS = """
    SELECT a.app, a.id, a.reserved, a.spent, a.reserved_minor, a.spent_minor,
        coalesce(r.reserved, 0) AS said_reserved, coalesce(r.spent, 0) AS said_spent,
        coalesce(r.reserved_minor, 0) AS said_reserved_minor, coalesce(r.spent_minor, 0) AS said_spent_minor
    FROM campaigns a LEFT JOIN (
        SELECT c.campaign_id, sum(r.amount) FILTER (WHERE r.status = 'reserved') AS reserved,
            sum(r.amount) FILTER (WHERE r.status = 'confirmed') AS spent,
            sum(r.discount_minor) FILTER (WHERE r.status = 'reserved') AS reserved_minor,
            sum(r.discount_minor) FILTER (WHERE r.status = 'confirmed') AS spent_minor
        FROM redemptions r JOIN codes c ON c.id = r.code_id GROUP BY c.campaign_id
    ) r ON r.campaign_id = a.id
    WHERE (a.reserved, a.spent, a.reserved_minor, a.spent_minor) <> (coalesce(r.reserved, 0), coalesce(r.spent, 0),
        coalesce(r.reserved_minor, 0), coalesce(r.spent_minor, 0))
    ORDER BY a.app, a.id
"""

_ENTITLEMENTS = """
    SELECT e.app, e.id, e.status, s.said_status
    FROM entitlements e CROSS JOIN LATERAL (
        SELECT coalesce(CASE WHEN bool_or(r.status = 'confirmed') THEN 'used'
            WHEN bool_or(r.status = 'reserved') THEN 'reserved' END, 'available') AS said_status
        FROM redemptions r WHERE r.entitlement_id = e.id AND r.checkout IS NOT NULL
    ) s
    WHERE e.status <> 'void' AND e.status <> s.said_status
    ORDER BY e.app, e.id
"""

_QUERIES = {"code": _CODES, "use of": _USERS, "campaign": _CAMPAIGNS, "entitlement": _ENTITLEMENTS}


async def differences(connection: Connection) -> list[Difference]:
    """What does not add up. Writers are not waited for: all of it is read as of one moment."""
    found: list[Difference] = []
    async with connection.transaction(isolation="repeatable_read", readonly=True):
        for thing, query in _QUERIES.items():
            for row in await connection.fetch(query):
                found += _different(thing, row)
    return found


def _different(thing: str, row: asyncpg.Record) -> Iterator[Difference]:
    for field, counted in row.items():
        stored = field.removeprefix("said_")
        if stored == "max_uses" and field != stored:
            if counted is not None and row["uses"] > counted:
                yield Difference(row["app"], thing, row["id"], "uses", str(row["uses"]), f"at most {counted}")
        elif stored != field and row[stored] != counted:
            yield Difference(row["app"], thing, row["id"], stored, str(row[stored]), str(counted))
