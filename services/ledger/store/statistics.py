"""Totals of an app, added up in the database."""

from __future__ import annotations

from dataclasses import dataclass, field

from libs.service.db import Pool


@dataclass(slots=True)
class AssetTotals:
    """Totals of one asset, in units. `issued` is by source; credits that only moved or came back are not in it."""

    accounts: int
    settled: int
    held: int
    owed: int
    overdraft_used: int
    spent: int
    issued: dict[str, int] = field(default_factory=dict)
    revoked: int = 0
    breakage: int = 0


async def totals(pool: Pool, app: str, timeout_s: float) -> dict[str, AssetTotals]:
    """Totals by asset, in one snapshot; asyncpg's `QueryCanceledError` when it takes longer than `timeout_s`."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        await connection.execute(f"SET LOCAL statement_timeout = {round(timeout_s * 1000)}")
        accounts = await connection.fetch(
            "SELECT asset, count(*), sum(settled), sum(held), sum(owed), sum(overdraft_used), sum(spent_total)"
            " FROM accounts WHERE app = $1 GROUP BY asset ORDER BY asset",
            app,
        )
        lots = await connection.fetch(
            "SELECT asset, CASE origin ->> 'kind' WHEN 'adjustment' THEN 'adjustment' ELSE source END,"
            " sum(amount) FILTER (WHERE origin IS NULL OR origin ->> 'kind' = 'adjustment'), sum(revoked), sum(broken)"
            " FROM lots WHERE app = $1 GROUP BY 1, 2 ORDER BY 1, 2",
            app,
        )
    found = {}
    for asset, count, settled, held, owed, overdraft, spent in accounts:
        found[asset] = AssetTotals(count, int(settled), int(held), int(owed), int(overdraft), int(spent))
    for asset, source, issued, revoked, broken in lots:
        total = found[asset]
        if issued is not None:
            total.issued[source] = int(issued)
        total.revoked += int(revoked)
        total.breakage += int(broken)
    return found
