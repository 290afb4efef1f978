"""What is known of users from other services."""

from __future__ import annotations

from libs.events.db import Connection


async def note_opened(connection: Connection, app: str, user: str, time_us: int) -> None:
    """The user has had an account since then, if none was heard of before."""
    await connection.execute(
        "INSERT INTO customers AS c (app, user_id, opened_at) VALUES ($1, $2, $3) ON CONFLICT (app, user_id)"
        " DO UPDATE SET opened_at = least(c.opened_at, excluded.opened_at)",
        app,
        user,
        time_us,
    )


async def note_paid(connection: Connection, app: str, user: str, time_us: int) -> None:
    """The user has paid since then, if no earlier payment was heard of."""
    await connection.execute(
        "INSERT INTO customers AS c (app, user_id, first_paid_at) VALUES ($1, $2, $3) ON CONFLICT (app, user_id)"
        " DO UPDATE SET first_paid_at = least(c.first_paid_at, excluded.first_paid_at)",
        app,
        user,
        time_us,
    )
