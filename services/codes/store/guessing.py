"""Rows of who guesses, and how much is guessed in all."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass

from libs.events.db import Connection, Pool
from services.codes.domain.lockout import NOBODY, Record

PARTS = 16
"""Rows that the misses of one window are counted in."""

By = str
Guesser = tuple[By, str]
"""By what somebody is known (`user`, `address`), and under which name."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window of an app, with all misses in it."""

    app: str
    window_at: int
    misses: int


async def one_at_a_time(connection: Connection, app: str, user: str) -> None:
    """Wait until no other transaction looks a code up for this user.

    Whoever sends many guesses at once would otherwise have them all looked up before the first of them counts.
    """
    await connection.execute("SELECT pg_advisory_xact_lock(hashtextextended($1, 0))", f"guess\x1f{app}\x1f{user}")


async def known(connection: Connection, app: str, guessers: list[Guesser]) -> dict[Guesser, Record]:
    """What is known of these guessers."""
    return await _read(connection, app, guessers, "")


async def locked(connection: Connection, app: str, guessers: list[Guesser]) -> dict[Guesser, Record]:
    """What is known of these guessers, whose rows are made if need be, and locked."""
    await connection.execute(
        "INSERT INTO guesses (app, by, who, forget_at)"
        " SELECT $1, g.by, g.who, 0 FROM unnest($2::text[], $3::text[]) AS g (by, who) ORDER BY 2, 3"
        " ON CONFLICT DO NOTHING",
        app,
        [by for by, _ in guessers],
        [who for _, who in guessers],
    )
    return await _read(connection, app, guessers, " ORDER BY by, who FOR UPDATE OF guesses")


async def _read(connection: Connection, app: str, guessers: list[Guesser], order: str) -> dict[Guesser, Record]:
    rows = await connection.fetch(
        "SELECT by, who, misses, locks, locked_until FROM guesses WHERE app = $1"
        f" AND (by, who) IN (SELECT * FROM unnest($2::text[], $3::text[])){order}",
        app,
        [by for by, _ in guessers],
        [who for _, who in guessers],
    )
    found = {(row["by"], row["who"]): Record(tuple(row["misses"]), row["locks"], row["locked_until"]) for row in rows}
    return {guesser: found.get(guesser, NOBODY) for guesser in guessers}


async def write(connection: Connection, app: str, records: Mapping[Guesser, tuple[Record, int]]) -> None:
    """Write down what is now known of locked guessers, each with when it is to be forgotten."""
    await connection.executemany(
        "UPDATE guesses SET misses = $4, locks = $5, locked_until = $6, forget_at = $7"
        " WHERE app = $1 AND by = $2 AND who = $3",
        [
            (app, by, who, list(record.misses), record.locks, record.locked_until, forget_at)
            for (by, who), (record, forget_at) in records.items()
        ],
    )


async def count_miss(connection: Connection, app: str, window_at: int) -> None:
    """Count one more miss of the app in a window. To be the last that a transaction does: others wait for the row."""
    await connection.execute(
        "INSERT INTO guess_windows (app, window_at, part, misses) VALUES ($1, $2, $3, 1)"
        " ON CONFLICT (window_at, app, part) DO UPDATE SET misses = guess_windows.misses + 1",
        app,
        window_at,
        random.randrange(PARTS),  # noqa: S311 - it only spreads the load
    )


async def windows(pool: Pool, since_us: int) -> list[Window]:
    """All windows that began since then and were not told as suspicious."""
    rows = await pool.fetch(
        "SELECT app, window_at, sum(misses)::bigint AS misses FROM guess_windows w WHERE window_at >= $1"
        " AND NOT EXISTS (SELECT FROM guess_alarms a WHERE a.app = w.app AND a.window_at = w.window_at)"
        " GROUP BY app, window_at ORDER BY window_at, app",
        since_us,
    )
    return [Window(row["app"], row["window_at"], row["misses"]) for row in rows]


async def raise_alarm(connection: Connection, window: Window) -> bool:
    """Note that a window was suspicious; False if that was noted before."""
    status = await connection.execute(
        "INSERT INTO guess_alarms (app, window_at, misses) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        window.app,
        window.window_at,
        window.misses,
    )
    return status.endswith("1")


async def forget(pool: Pool, now_us: int, windows_before_us: int, limit: int) -> int:
    """Forget at most so many guessers whose time has come, and old windows; how many guessers."""
    status = await pool.execute(
        "DELETE FROM guesses WHERE (app, by, who) IN"
        " (SELECT app, by, who FROM guesses WHERE forget_at <= $1 ORDER BY forget_at LIMIT $2 FOR UPDATE SKIP LOCKED)"
        " AND forget_at <= $1",
        now_us,
        limit,
    )
    await pool.execute("DELETE FROM guess_windows WHERE window_at < $1", windows_before_us)
    await pool.execute("DELETE FROM guess_alarms WHERE window_at < $1", windows_before_us)
    return int(status.rpartition(" ")[2])
