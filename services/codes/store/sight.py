"""All that decides whether a code may be used, in one statement: the same one whether or not there is such a code."""

from __future__ import annotations

from dataclasses import dataclass

from libs.events.db import Connection
from services.codes.domain.codes import Code
from services.codes.domain.discounts import Effect
from services.codes.store.checkouts import STANDING
from services.codes.store.codes import COLUMNS, Campaign, code_of

_VOID = "EXISTS (SELECT FROM batches b WHERE b.id = c.batch_id AND b.status = 'void')"
# A code of a void batch is void, also before the worker has come to it.
_STATUS = f"CASE WHEN {_VOID} THEN 'void' ELSE c.status END AS status"
_CODE = ", ".join(_STATUS if name == "status" else f"c.{name}" for name in COLUMNS.split(", "))
# Of a checkout of somebody else nothing is told.
_OTHERS = f"{STANDING.replace('$2', '$4')} AND r.user_id = $3"
_QUERY = (
    f"SELECT {_CODE}, coalesce(u.reserved + u.redeemed, 0) AS by_user, k.opened_at, k.first_paid_at,"
    " g.id AS campaign, g.status = 'active' AS campaign_active, g.currency AS campaign_currency,"
    " g.budget - g.reserved - g.spent AS campaign_left,"
    " g.budget_minor - g.reserved_minor - g.spent_minor AS campaign_left_minor,"
    " $4::text IS NOT NULL AND (EXISTS (SELECT FROM redemptions r WHERE r.code_id = c.id AND r.checkout = $4"
    " AND r.user_id = $3 AND r.status IN ('reserved', 'confirmed', 'rolled_back'))"
    " OR EXISTS (SELECT FROM entitlements e WHERE e.code_id = c.id AND e.user_id = $3 AND e.status = 'available'))"
    " AS taken, s.effects, s.taken_minor"
    " FROM codes c LEFT JOIN code_users u ON u.code_id = c.id AND u.user_id = $3"
    " LEFT JOIN customers k ON k.app = $1 AND k.user_id = $3"
    " LEFT JOIN campaigns g ON g.id = c.campaign_id"
    " LEFT JOIN LATERAL (SELECT coalesce(array_agg(o.effect), '{}') AS effects,"
    " coalesce(sum(o.discount_minor), 0)::bigint AS taken_minor"
    f" FROM ({_OTHERS}) AS o WHERE o.code_id <> c.id) AS s ON true WHERE c.app = $1 AND c.digest = $2"
)


@dataclass(frozen=True, slots=True)
class Seen:
    """A code, unlocked, with what is known of its user and its campaign; `taken`: the checkout has it
    already, or the user has an entitlement to its discount, so that no further use is needed. The checkout's other
    codes have these `effects` and take `taken_minor` off it.
    """

    code: Code
    by_user: int
    opened_at: int | None
    first_paid_at: int | None
    campaign: Campaign | None
    taken: bool
    effects: list[Effect]
    taken_minor: int


async def of_entry(connection: Connection, app: str, digest: bytes, user: str, checkout: str | None) -> Seen | None:
    """What is there when `user` enters the text of this digest."""
    row = await connection.fetchrow(_QUERY, app, digest, user, checkout)
    if row is None:
        return None
    campaign = None
    if row["campaign"] is not None:
        campaign = Campaign(
            row["campaign"],
            row["campaign_active"],
            row["campaign_left"],
            row["campaign_left_minor"],
            row["campaign_currency"],
        )
    return Seen(
        code_of(row),
        row["by_user"],
        row["opened_at"],
        row["first_paid_at"],
        campaign,
        row["taken"],
        row["effects"],
        row["taken_minor"],
    )
