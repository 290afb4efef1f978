"""Rows of checkouts: what is bought where codes were reserved."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.db import Connection
from services.codes.domain.discounts import Checkout, Effect


async def lock(connection: Connection, app: str, user: str, checkout: Checkout) -> tuple[str, Checkout]:
    """Lock a checkout, after campaigns, codes and customers; whose it is, and as which one it is known.

    One that was not known is written down as it is given.
    """
    await connection.execute(
        "INSERT INTO checkouts (app, id, user_id, amount_minor, currency, service) VALUES ($1, $2, $3, $4, $5, $6)"
        " ON CONFLICT DO NOTHING",
        app,
        checkout.id,
        user,
        checkout.amount_minor,
        checkout.currency,
        checkout.service,
    )
    row = await connection.fetchrow(
        "SELECT user_id, amount_minor, currency, service FROM checkouts WHERE app = $1 AND id = $2 FOR UPDATE",
        app,
        checkout.id,
    )
    assert row is not None  # noqa: S101 - it was written above, and none is ever deleted
    return row["user_id"], Checkout(checkout.id, row["amount_minor"], row["currency"], row["service"])


async def change(connection: Connection, app: str, checkout: Checkout) -> None:
    """Write down what a locked checkout has become."""
    await connection.execute(
        "UPDATE checkouts SET amount_minor = $3, currency = $4, service = $5 WHERE app = $1 AND id = $2",
        app,
        checkout.id,
        checkout.amount_minor,
        checkout.currency,
        checkout.service,
    )


@dataclass(frozen=True, slots=True)
class Standing:
    """A code that is reserved or confirmed on a checkout."""

    code_id: str
    effect: Effect
    discount_minor: int


_EFFECT = (
    "CASE WHEN c.percent_off IS NOT NULL THEN 'percent' WHEN c.amount_off_minor IS NOT NULL THEN 'fixed'"
    " ELSE 'credits' END"
)
STANDING = (
    f"SELECT r.code_id, coalesce(r.discount_minor, 0) AS discount_minor, {_EFFECT} AS effect"
    " FROM redemptions r JOIN codes c ON c.id = r.code_id"
    " WHERE r.app = $1 AND r.checkout = $2 AND r.status IN ('reserved', 'confirmed')"
)
"""What stands on a checkout, by its app and its id."""


async def standing(connection: Connection, app: str, checkout_id: str) -> list[Standing]:
    """What stands on a locked checkout."""
    rows = await connection.fetch(STANDING, app, checkout_id)
    return [Standing(row["code_id"], row["effect"], row["discount_minor"]) for row in rows]
