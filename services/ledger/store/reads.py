"""What reads ask of the tables: one account in one snapshot, objects by their ids, outcomes, configurations."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg
import orjson

from libs.events.ids import Ids, UlidSource
from libs.service.clock import from_datetime, to_datetime
from libs.service.db import Connection, Pool
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.domain.allowances import lot_id
from services.ledger.domain.config import AppConfig, ConfigDocument, compile_config
from services.ledger.domain.records import ChargeRecord, charge_record
from services.ledger.domain.state import Account, Hold, Lot
from services.ledger.store.load import Loaded, ResultKey, load_accounts
from services.ledger.store.rows import HOLD_COLUMNS, LOT_COLUMNS, hold_of, lot_of

UNREACHABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    # Cancelled, cut off, or refused while the server starts, ends or recovers; too many connections; closed to all.
    asyncpg.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.ObjectNotInPrerequisiteStateError,
)
"""What a read that could not be made raises."""
RESETS_CHUNK = 1000
"""Lots that are looked at together where resets are counted."""


@dataclass(slots=True)
class Seen:
    """An account as of a position of its partition; `account` is None for one that was never opened."""

    account: Account | None
    position: int


async def account_at_head(pool: Pool, key: tuple[str, str, str], partition: int) -> Seen:
    """The account and the head that it belongs to, in one snapshot."""
    async with pool.acquire() as connection, connection.transaction(isolation="repeatable_read", readonly=True):
        position = await connection.fetchval("SELECT position FROM heads WHERE partition = $1", partition)
        loaded = Loaded()
        await load_accounts(connection, [key], loaded)
    return Seen(loaded.accounts.get(key), position or 0)


async def head_position(pool: Pool, partition: int) -> int:
    """The last position of a partition."""
    return await pool.fetchval("SELECT position FROM heads WHERE partition = $1", partition) or 0


async def assets_of(pool: Pool, app: str, user: str) -> list[str]:
    """The assets in which a user has an account."""
    rows = await pool.fetch("SELECT asset FROM accounts WHERE app = $1 AND user_id = $2 ORDER BY asset", app, user)
    return [row["asset"] for row in rows]


@dataclass(slots=True)
class LotRow:
    """A lot and whose it is."""

    user: str
    asset: str
    lot: Lot


@dataclass(slots=True)
class HoldRow:
    """A hold and whose it is; a resolved one pins nothing."""

    user: str
    asset: str
    hold: Hold
    status: str
    resolved_at: int | None


def lot_row(row: asyncpg.Record) -> LotRow:
    """A row of the lots."""
    return LotRow(row["user_id"], row["asset"], lot_of(row))


def hold_row(row: asyncpg.Record) -> HoldRow:
    """A row of the holds."""
    resolved = row["resolved_at"]
    resolved_at = None if resolved is None else from_datetime(resolved)
    return HoldRow(row["user_id"], row["asset"], hold_of(row), row["status"], resolved_at)


async def lot_by_id(pool: Pool, app: str, lot: str) -> LotRow | None:
    """One lot of an app."""
    row = await pool.fetchrow(f"SELECT {LOT_COLUMNS} FROM lots WHERE id = $1 AND app = $2", lot, app)
    return None if row is None else lot_row(row)


async def lots_by_ids(pool: Pool, app: str, lots: Sequence[str]) -> dict[str, Lot]:
    """These lots of an app, by their ids."""
    rows = await pool.fetch(f"SELECT {LOT_COLUMNS} FROM lots WHERE id = ANY ($1) AND app = $2", list(lots), app)
    return {row["id"]: lot_of(row) for row in rows}


async def hold_by_id(pool: Pool, app: str, hold: str) -> HoldRow | None:
    """One hold of an app."""
    row = await pool.fetchrow(f"SELECT {HOLD_COLUMNS} FROM holds WHERE id = $1 AND app = $2", hold, app)
    return None if row is None else hold_row(row)


@dataclass(slots=True)
class ChargeRow:
    """A charge as its events tell it, and whose it is."""

    user: str
    asset: str
    charge: ChargeRecord


async def charge_by_id(pool: Pool, app: str, charge: str) -> ChargeRow | None:
    """One charge of an app."""
    rows = await pool.fetch(
        "SELECT user_id, asset, type, time, payload FROM events WHERE object = $1 AND app = $2"
        " ORDER BY partition, position",
        charge,
        app,
    )
    events = [codec.decode(row["type"], row["payload"], from_datetime(row["time"])) for row in rows]
    record = charge_record(events)
    return None if record is None else ChargeRow(rows[0]["user_id"], rows[0]["asset"], record)


@dataclass(slots=True)
class OutcomeRow:
    """What was stored under an idempotency key."""

    type: str
    status: int
    body: bytes
    command: str
    partition: int
    position: int
    time_us: int


async def outcome(pool: Pool, key: ResultKey, since: datetime) -> OutcomeRow | None:
    """The outcome under a key that was stored after `since`."""
    row = await pool.fetchrow(
        "SELECT command_type, status, body, command_id, partition, position, created_at FROM results"
        " WHERE app = $1 AND user_id = $2 AND key = $3 AND caller = $4 AND created_at > $5",
        *key,
        since,
    )
    if row is None:
        return None
    kind, status, body, command, partition, position, created_at = row
    return OutcomeRow(kind, status, body, command, partition, position, from_datetime(created_at))


@dataclass(slots=True)
class TransferRow:
    """How far a transfer has come; partitions are those of its two users."""

    id: str
    app: str
    asset: str
    from_user: str
    to_user: str
    from_partition: int
    to_partition: int
    amount: int
    status: str
    refusal: str | None
    created_at: int


_TRANSFER = (
    "SELECT id, app, asset, from_user, to_user, from_partition, to_partition, amount, status, refusal, created_at"
    " FROM transfers"
)


def _transfer_row(row: asyncpg.Record) -> TransferRow:
    fields = {**row, "created_at": from_datetime(row["created_at"])}
    return TransferRow(**fields)


async def transfer_by_id(pool: Pool, transfer: str) -> TransferRow | None:
    """One transfer."""
    row = await pool.fetchrow(f"{_TRANSFER} WHERE id = $1", transfer)
    return None if row is None else _transfer_row(row)


async def transfers_waiting(pool: Pool, partitions: list[int], limit: int) -> list[TransferRow]:
    """Transfers whose next step one of these partitions must take, the oldest first."""
    rows = await pool.fetch(
        f"{_TRANSFER} WHERE (status = 'pending' AND to_partition = ANY ($1))"
        " OR (status = 'refused' AND from_partition = ANY ($1)) ORDER BY created_at LIMIT $2",
        partitions,
        limit,
    )
    return [_transfer_row(row) for row in rows]


async def latest_configs(
    connection: Pool | Connection, known: Mapping[str, AppConfig] | None = None
) -> dict[str, AppConfig]:
    """Every app's latest configuration with all that went before it, without those that `known` has already."""
    known = known or {}
    rows = await connection.fetch(
        "SELECT app, version, document, applied_at FROM configs"
        " WHERE NOT EXISTS (SELECT FROM unnest($1::text[], $2::int[]) AS k(a, v) WHERE a = app AND v >= version)"
        " ORDER BY app, version",
        list(known),
        [config.version for config in known.values()],
    )
    found: dict[str, AppConfig] = {}
    for row in rows:
        app = row["app"]
        found[app] = _config(row, found.get(app) or known.get(app))
    return found


async def config_at(pool: Pool, app: str, moment: datetime) -> AppConfig | None:
    """The configuration in force at a time of the app, the first one for times before it."""
    config: AppConfig | None = None
    for row in await pool.fetch(
        "SELECT app, version, document, applied_at FROM configs WHERE app = $1 ORDER BY version", app
    ):
        config = _config(row, config)
    return None if config is None else config.at(from_datetime(moment))


def _config(row: asyncpg.Record, earlier: AppConfig | None) -> AppConfig:
    document = ConfigDocument.model_validate_json(row["document"])
    return compile_config(row["app"], row["version"], document, from_datetime(row["applied_at"]), earlier)


@dataclass(slots=True)
class DebitRow:
    """The debit of a transfer, and the correlation that it belongs to."""

    event: ev.TransferDebited
    correlation: str


async def debit_of(pool: Pool, transfer: str) -> DebitRow:
    """The debit of a transfer that exists."""
    row = await pool.fetchrow(
        "SELECT type, time, payload, correlation_id FROM events WHERE object = $1"
        " AND type = 'ledger.transfer_debited.v1'",
        transfer,
    )
    if row is None:
        raise LookupError(f"{transfer} has no debit")
    event = codec.decode(row["type"], row["payload"], from_datetime(row["time"]))
    if not isinstance(event, ev.TransferDebited):
        raise TypeError(f"{transfer} has a debit of another kind")
    return DebitRow(event, row["correlation_id"])


@dataclass(slots=True)
class DueRow:
    """An account that time alone changes, and since when (microseconds)."""

    app: str
    user: str
    asset: str
    due_at: int


async def accounts_due(
    pool: Pool, partitions: list[int], now_us: int, app_times: Mapping[str, int], limit: int
) -> list[DueRow]:
    """Accounts of these partitions that are due: by `now_us`, and those of apps in test mode by their own clocks."""
    rows = await pool.fetch(
        "(SELECT app, user_id, asset, due_at FROM accounts WHERE due_at <= $1 AND partition = ANY ($2)"
        " AND app <> ALL ($3) ORDER BY due_at LIMIT $5)"
        " UNION ALL (SELECT a.app, a.user_id, a.asset, a.due_at"
        " FROM unnest($3::text[], $4::timestamptz[]) AS t(app, now)"
        " JOIN accounts a ON a.app = t.app AND a.due_at <= t.now WHERE a.partition = ANY ($2)"
        " ORDER BY a.due_at LIMIT $5)",
        to_datetime(now_us),
        partitions,
        list(app_times),
        [to_datetime(time_us) for time_us in app_times.values()],
        limit,
    )
    return [
        DueRow(app, user, asset, now_us if app in app_times else from_datetime(due_at))
        for app, user, asset, due_at in rows
    ]


async def resets_due(pool: Pool, app: str, due_at: int, partitions: list[int]) -> set[int]:
    """The partitions in which an account of the app waits for what was due at a time or before it."""
    rows = await pool.fetch(
        "SELECT DISTINCT partition FROM accounts WHERE due_at <= $2 AND app = $1 AND partition = ANY ($3)",
        app,
        to_datetime(due_at),
        partitions,
    )
    return {row["partition"] for row in rows}


async def resets_done(pool: Pool, app: str, due_at: int, partition: int) -> int:
    """Accounts of a partition that were reset for a due time: each has a lot whose id follows from it.

    Other lots that begin in the same moment are passed over.
    """
    ids = Ids(UlidSource(), partition, due_at)
    after, last = (ids.derived("grant", due_at, bytes([edge] * 10)) for edge in (0, 255))
    found: int = 0
    while True:
        rows = await pool.fetch(
            "SELECT id, user_id, asset FROM lots WHERE id > $1 AND id <= $2 AND app = $3 AND effective_at = $4"
            " ORDER BY id LIMIT $5",
            after,
            last,
            app,
            to_datetime(due_at),
            RESETS_CHUNK,
        )
        found += sum(str(row["id"]) == lot_id(ids, due_at, (app, row["user_id"], row["asset"])) for row in rows)
        if len(rows) < RESETS_CHUNK:
            return found
        after = rows[-1]["id"]


async def resets_told(pool: Pool, app: str, user: str, keys: Mapping[str, int]) -> dict[int, int]:
    """What was told of a month's resets under these keys: accounts by partition."""
    rows = await pool.fetch(
        "SELECT key, body FROM results WHERE app = $1 AND user_id = $2 AND caller = '@clock' AND key = ANY ($3)",
        app,
        user,
        list(keys),
    )
    return {keys[row["key"]]: orjson.loads(row["body"])["accounts"] for row in rows}


async def has_results_before(pool: Pool, moment: datetime) -> bool:
    """Whether outcomes older than `moment` are kept."""
    return await pool.fetchval("SELECT EXISTS (SELECT FROM results WHERE created_at < $1)", moment) is True


async def forget_results_before(pool: Pool, moment: datetime, limit: int) -> None:
    """Delete up to `limit` outcomes older than `moment`."""
    await pool.execute(
        "DELETE FROM results WHERE ctid = ANY (ARRAY (SELECT ctid FROM results WHERE created_at < $1 LIMIT $2))",
        moment,
        limit,
    )


async def has_quotes_before(pool: Pool, moment: datetime) -> bool:
    """Whether quotes are kept whose time was over before `moment`."""
    return await pool.fetchval("SELECT EXISTS (SELECT FROM quotes WHERE ends_at < $1)", moment) is True


async def forget_quotes_before(pool: Pool, moment: datetime, limit: int) -> None:
    """Delete up to `limit` quotes whose time was over before `moment`."""
    await pool.execute(
        "DELETE FROM quotes WHERE id = ANY (ARRAY (SELECT id FROM quotes WHERE ends_at < $1 LIMIT $2))", moment, limit
    )
