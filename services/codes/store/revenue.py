"""Rows of what was paid for orders with codes."""

from __future__ import annotations

from collections.abc import Sequence

from libs.events.db import Connection


async def note(
    connection: Connection,
    app: str,
    order_id: str,
    redemptions: Sequence[str],
    currency: str,
    *,
    paid_minor: int = 0,
    paid_at: int | None = None,
    refunded_minor: int = 0,
) -> None:
    """Note what was paid for an order, or what of it went back in all; in any order, and harmless to repeat."""
    await connection.execute(
        "INSERT INTO order_revenue (app, order_id, redemptions, currency, paid_minor, refunded_minor, paid_at)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (app, order_id) DO UPDATE SET"
        " paid_minor = greatest(order_revenue.paid_minor, excluded.paid_minor),"
        " refunded_minor = greatest(order_revenue.refunded_minor, excluded.refunded_minor),"
        " paid_at = coalesce(order_revenue.paid_at, excluded.paid_at)",
        app,
        order_id,
        list(redemptions),
        currency,
        paid_minor,
        refunded_minor,
        paid_at,
    )
