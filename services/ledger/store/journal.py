"""An account's events, forward for folding and backward for its journal, and the events of a whole app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from libs.service.clock import from_datetime, to_datetime
from libs.service.db import Pool
from services.ledger.domain import codec
from services.ledger.domain import events as ev

_PAGE = 500
NEWEST = 1 << 62
"""A version or position beyond every other."""


@dataclass(slots=True)
class EventRow:
    """An event of an account and its place."""

    event: ev.AccountEvent
    position: int


async def account_events(
    pool: Pool, key: tuple[str, str, str], position: int | None, at: int | None
) -> AsyncIterator[EventRow]:
    """The account's events in order, up to a position and a time (microseconds) where those are given."""
    version = 0
    until = None if at is None else to_datetime(at)
    while True:
        rows = await pool.fetch(
            "SELECT account_version, position, type, time, payload FROM events"
            " WHERE app = $1 AND user_id = $2 AND asset = $3 AND account_version > 0 AND account_version > $4"
            " AND ($5::bigint IS NULL OR position <= $5) AND ($6::timestamptz IS NULL OR time <= $6)"
            " ORDER BY account_version LIMIT $7",
            *key,
            version,
            position,
            until,
            _PAGE,
        )
        for row in rows:
            event = codec.decode(row["type"], row["payload"], from_datetime(row["time"]))
            if isinstance(event, ev.AccountEvent):
                yield EventRow(event, row["position"])
        if len(rows) < _PAGE:
            return
        version = rows[-1]["account_version"]


@dataclass(slots=True)
class Filter:
    """Which events are wanted; times are microseconds, `until` is not included. `user` is for the events of an app."""

    type: str | None = None
    since: int | None = None
    until: int | None = None
    reference: str | None = None
    member: str | None = None
    user: str | None = None


@dataclass(slots=True)
class LogRow:
    """One event of the log with the erasable text beside it, if there is any left."""

    id: str
    type: str
    time_us: int
    user: str
    asset: str
    version: int
    partition: int
    position: int
    object: str | None
    reference: str | None
    member: str | None
    transaction: str
    command: str
    correlation: str
    actor: str
    payload: dict[str, Any]
    text: dict[str, Any]


_ROW = (
    "e.event_id, e.type, e.time, e.user_id, e.asset, e.account_version, e.partition, e.position, e.object, e.reference,"
    " e.member, e.transaction_id, e.command_id, e.correlation_id, e.actor, e.payload, t.body"
)
_BARE_ROW = _ROW.replace("t.body", "NULL AS body")
"""Without the text beside the event, which is not told to whoever follows the log."""
_WANTED = (
    " AND ($1::text IS NULL OR e.type = $1) AND ($2::timestamptz IS NULL OR e.time >= $2)"
    " AND ($3::timestamptz IS NULL OR e.time < $3)"
)


def _moment(time_us: int | None) -> datetime | None:
    return None if time_us is None else to_datetime(time_us)


def _log_row(row: Iterable[Any]) -> LogRow:
    """From the columns of `_ROW`."""
    values = list(row)
    values[2] = from_datetime(values[2])
    values[-2] = orjson.loads(values[-2])
    values[-1] = {} if values[-1] is None else orjson.loads(values[-1])
    return LogRow(*values)


async def journal_page(pool: Pool, key: tuple[str, str, str], wanted: Filter, before: int, limit: int) -> list[LogRow]:
    """Events of an account whose version is less than `before`, the newest first."""
    rows = await pool.fetch(
        f"SELECT {_ROW} FROM events e LEFT JOIN texts t USING (event_id)"
        " WHERE e.app = $6 AND e.user_id = $7 AND e.asset = $8 AND e.account_version > 0 AND e.account_version < $9"
        f"{_WANTED} AND ($4::text IS NULL OR e.reference = $4) AND ($5::text IS NULL OR e.member = $5)"
        " ORDER BY e.account_version DESC LIMIT $10",
        wanted.type,
        _moment(wanted.since),
        _moment(wanted.until),
        wanted.reference,
        wanted.member,
        *key,
        before,
        limit,
    )
    return [_log_row(row) for row in rows]


async def journal(pool: Pool, key: tuple[str, str, str], wanted: Filter) -> AsyncIterator[LogRow]:
    """A whole journal, the newest first, page by page: no connection is held in between."""
    before = NEWEST
    while True:
        rows = await journal_page(pool, key, wanted, before, _PAGE)
        for row in rows:
            yield row
        if len(rows) < _PAGE:
            return
        before = rows[-1].version


async def history(pool: Pool, key: tuple[str, str, str], after: int, up_to: int) -> AsyncIterator[LogRow]:
    """An account's events behind version `after`, up to and with version `up_to`, in order, page by page."""
    while after < up_to:
        rows = await pool.fetch(
            f"SELECT {_ROW} FROM events e LEFT JOIN texts t USING (event_id)"
            " WHERE e.app = $1 AND e.user_id = $2 AND e.asset = $3 AND e.account_version > 0 AND e.account_version > $4"
            " AND e.account_version <= $5 ORDER BY e.account_version LIMIT $6",
            *key,
            after,
            up_to,
            _PAGE,
        )
        for row in rows:
            yield _log_row(row)
        if len(rows) < _PAGE:
            return
        after = rows[-1]["account_version"]


async def of_objects(pool: Pool, app: str, objects: Sequence[str]) -> list[LogRow]:
    """The events that are looked up by these ids, in order of their place in the log."""
    rows = await pool.fetch(
        f"SELECT {_ROW} FROM events e LEFT JOIN texts t USING (event_id)"
        " WHERE e.object = ANY ($1) AND e.app = $2 ORDER BY e.partition, e.position",
        list(objects),
        app,
    )
    return [_log_row(row) for row in rows]


async def app_events(pool: Pool, app: str, wanted: Filter, before: Mapping[int, int], limit: int) -> list[LogRow]:
    """Events of an app before a position in each of the partitions given, the newest first."""
    rows = await pool.fetch(
        f"SELECT {_ROW} FROM unnest($4::smallint[], $5::bigint[]) AS p(number, before) CROSS JOIN LATERAL ("
        " SELECT * FROM events e WHERE e.partition = p.number AND e.position < p.before AND e.app = $6"
        f" AND ($7::text IS NULL OR e.user_id = $7){_WANTED} ORDER BY e.position DESC LIMIT $8"
        ") e LEFT JOIN texts t USING (event_id) ORDER BY e.time DESC, e.partition, e.position DESC LIMIT $8",
        wanted.type,
        _moment(wanted.since),
        _moment(wanted.until),
        list(before),
        list(before.values()),
        app,
        wanted.user,
        limit,
    )
    return [_log_row(row) for row in rows]


@dataclass(slots=True)
class Span:
    """A part of one partition of the log: behind position `after`, up to and with `up_to`."""

    partition: int
    after: int
    up_to: int


_SPANS = (
    " FROM unnest($1::smallint[], $2::bigint[], $3::bigint[]) AS p(number, after, up_to) CROSS JOIN LATERAL ("
    " SELECT * FROM events e WHERE e.partition = p.number AND e.position > p.after AND e.position <= p.up_to"
)


def _columns(spans: Sequence[Span]) -> tuple[list[int], list[int], list[int]]:
    return [s.partition for s in spans], [s.after for s in spans], [s.up_to for s in spans]


async def app_events_in(pool: Pool, app: str, spans: Sequence[Span], limit: int) -> list[LogRow]:
    """The first events of an app in these parts of the log: by time, and in order within each partition."""
    rows = await pool.fetch(
        f"SELECT {_BARE_ROW}{_SPANS} AND e.app = $4 ORDER BY e.position LIMIT $5) e"
        " ORDER BY e.time, e.partition, e.position LIMIT $5",
        *_columns(spans),
        app,
        limit,
    )
    return [_log_row(row) for row in rows]


async def followed_events(
    pool: Pool, spans: Sequence[Span], apps: Sequence[str], users: Collection[tuple[str, str]], limit: int
) -> list[tuple[str, LogRow]]:
    """(app, event) for all events of `apps`, and of the users given as (app, user), at most `limit` a partition.

    By time, and in order within each partition for each app.
    """
    rows = await pool.fetch(
        f"SELECT {_BARE_ROW}, e.app{_SPANS} AND (e.app = ANY ($4)"
        " OR (e.app, e.user_id) IN (SELECT f.app, f.user_id FROM unnest($5::text[], $6::text[]) AS f(app, user_id)))"
        " ORDER BY e.position LIMIT $7) e ORDER BY e.time, e.partition, e.position",
        *_columns(spans),
        list(apps),
        [app for app, _ in users],
        [user for _, user in users],
        limit,
    )
    return [(row[-1], _log_row(row[:-1])) for row in rows]


async def position_of(pool: Pool, key: tuple[str, str, str], version: int) -> int | None:
    """Where in its partition an account's event of this version lies."""
    position: int | None = await pool.fetchval(
        "SELECT position FROM events WHERE app = $1 AND user_id = $2 AND asset = $3 AND account_version > 0"
        " AND account_version = $4",
        *key,
        version,
    )
    return position
