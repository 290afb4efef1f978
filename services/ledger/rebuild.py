"""`rebuild`: the projections made anew from the log beside the live ones, compared with them, and swapped in if asked.

The ledger goes on meanwhile. A swap stops writers for as long as the last of the tail takes, and fences them, so that
they load the new tables. Whatever ends a rebuild before its last commit leaves the live tables as they are. Outcomes
under keys, unique references, cursors and texts are not in the log; they are left alone, and belong in backups.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from libs.events.failpoints import reach
from libs.service.clock import from_datetime, to_datetime
from libs.service.db import Connection, connect
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.domain.evolve import lots_named
from services.ledger.store import log_reads
from services.ledger.store import rebuild_tables as new
from services.ledger.store.heads import Head
from services.ledger.store.load import Loaded, load_accounts
from services.ledger.store.log_reads import LogEvent
from services.ledger.store.rows import lot_of
from services.ledger.verify.checks import UNFOLDABLE, Findings, Violation
from services.ledger.verify.fold import AccountKey, Fold, Sent
from services.ledger.verify.tables import (
    TableCheck,
    account_rows,
    config_rows,
    hold_rows,
    lot_rows,
    transfer_rows,
)
from services.ledger.verify.workers import Meter, NoMeter, Report, each_partition

TAIL_MAX = 1000
"""A tail of so many events is caught up before writers are stopped for the rest."""
_ROUNDS_MAX = 10


class UnsoundLogError(Exception):
    """The log cannot be folded; `verify` says more."""


@dataclass(slots=True)
class Rebuilt:
    """What came of a rebuild. `differences` are rows of the live tables that were not what the log says."""

    events: int = 0
    differences: list[Violation] = field(default_factory=list)
    difference_count: int = 0
    swapped: bool = False


@dataclass(slots=True)
class _Task:
    dsn: str
    snapshot: str
    head: Head
    partitions: int


@dataclass(slots=True)
class _Folded:
    events: int
    found: Findings


async def rebuild(owner_dsn: str, *, swap: bool = False, jobs: int = 1, meter: Meter | None = None) -> Rebuilt:
    """Make the projections anew as the database's owner, compare, and swap them in if asked.

    Raises :class:`UnsoundLogError`, :class:`RebuildRunningError`, and asyncpg's LockNotAvailableError when a swap has
    to wait too long for somebody who reads a table (`verify`, a backup); nothing has changed then.
    """
    meter = meter or NoMeter()
    outcome = Rebuilt()
    connection = await connect(owner_dsn, application_name="ledger-rebuild", statement_timeout_ms=0)
    try:
        await connection.execute("SET idle_in_transaction_session_timeout = 0")
        await new.begin(connection)
        reach("rebuild.begun")
        positions, partitions = await _fold_all(owner_dsn, jobs, meter, outcome)
        reach("rebuild.folded")
        if swap:
            await new.finish(connection)
            reach("rebuild.finished")
            await new.complete_transfers(connection)
            await _swap(connection, partitions, positions, outcome)
        else:
            await new.discard(connection)
    finally:
        await connection.close()
    return outcome


async def _fold_all(dsn: str, jobs: int, meter: Meter, outcome: Rebuilt) -> tuple[dict[int, int], int]:
    """Fill the new tables as of one snapshot and compare; up to which positions, and how many partitions there are."""
    async with log_reads.snapshot(dsn) as connection:
        partitions = await log_reads.read_partitions(connection)
        heads = await log_reads.read_heads(connection)
        meter.expect(sum(head.position for head in heads.values()))
        shared = await log_reads.export_snapshot(connection)
        tasks = [_Task(dsn, shared, head, partitions) for head in heads.values()]
        for result in await each_partition(_fold_partition, tasks, jobs, meter.advance):
            outcome.events += result.events
            outcome.differences += result.found.kept
            outcome.difference_count += result.found.count
    return {partition: head.position for partition, head in heads.items()}, partitions


async def _fold_partition(task: _Task, report: Report) -> _Folded:
    partition = task.head.partition
    fold = Fold(partition)
    events = 0
    async with log_reads.snapshot(task.dsn, task.snapshot, read_only=False) as connection:
        async for page in log_reads.read_log(connection, partition):
            for row in page:
                _apply(fold, row, _decoded(row))
            events += len(page)
            report(len(page))
        if events != task.head.position:
            raise UnsoundLogError(f"partition {partition} holds {events} events, its head says {task.head.position}")
        await new.copy(connection, "accounts", account_rows(fold))
        await new.copy(connection, "lots", lot_rows(fold))
        await new.copy(connection, "holds", hold_rows(fold))
        await new.copy(connection, "transfers", transfer_rows(fold, task.partitions))
        await new.copy(connection, "configs", config_rows(fold))
        await _copy_credits(connection, fold)
        found = Findings(partition)
        await TableCheck(connection, fold, found, set(), task.partitions).run()
    return _Folded(events, found)


def _decoded(row: LogEvent) -> ev.Event:
    try:
        return codec.decode(row.type, row.payload, from_datetime(row.time))
    except UNFOLDABLE as error:
        raise _unsound(row, error) from error


def _apply(fold: Fold, row: LogEvent, event: ev.Event) -> None:
    if isinstance(event, ev.ConfigApplied):
        fold.configure(row.app, event, row.position)
    elif isinstance(event, ev.AccountEvent):
        try:
            fold.apply((row.app, row.user, row.asset), event)
        except UNFOLDABLE as error:
            raise _unsound(row, error) from error


def _unsound(row: LogEvent, error: Exception) -> UnsoundLogError:
    return UnsoundLogError(f"partition {row.partition}, position {row.position} cannot be folded: {error!r}")


async def _copy_credits(connection: Connection, fold: Fold) -> None:
    await new.copy_credits(connection, ((name, to_datetime(credit.at)) for name, credit in fold.received.items()))


# The tail


async def _swap(connection: Connection, partitions: int, positions: dict[int, int], outcome: Rebuilt) -> None:
    """Catch up until little is left, then stop the writers, catch up the rest, and swap."""
    for _ in range(_ROUNDS_MAX):
        async with connection.transaction():
            caught_up = await _catch_up(connection, partitions, positions)
        outcome.events += caught_up
        reach("rebuild.caught_up")
        if caught_up <= TAIL_MAX:
            break
    async with connection.transaction():
        await new.lock_heads(connection)
        outcome.events += await _catch_up(connection, partitions, positions)
        await new.swap(connection)
        reach("rebuild.swapping")
    reach("rebuild.swapped")
    outcome.swapped = True


async def _catch_up(connection: Connection, partitions: int, positions: dict[int, int]) -> int:
    """Fold what was appended behind `positions` onto the new tables, and move them there; how many events it was."""
    await new.look_at_new(connection)
    events = 0
    for partition, head in (await log_reads.read_heads(connection)).items():
        if head.position == positions[partition]:
            continue
        fold = Fold(partition)
        async for page in log_reads.read_log(connection, partition, positions[partition], head.position):
            decoded = [(row, _decoded(row)) for row in page]
            await _load(connection, fold, decoded)
            for row, event in decoded:
                _apply(fold, row, event)
            events += len(page)
        await _write(connection, fold, partitions)
        positions[partition] = head.position
    await new.complete_transfers(connection)
    return events


async def _load(connection: Connection, fold: Fold, decoded: Sequence[tuple[LogEvent, ev.Event]]) -> None:
    """What the events of a page need of the new tables and is not in the fold yet."""
    keys: dict[AccountKey, None] = {}
    lots: dict[str, AccountKey] = {}
    returned: list[str] = []
    for row, event in decoded:
        if not isinstance(event, ev.AccountEvent):
            continue
        key = (row.app, row.user, row.asset)
        if key not in fold.accounts:
            keys[key] = None
        lots.update(dict.fromkeys(lots_named(event), key))
        if isinstance(event, ev.TransferReturned) and event.transfer not in fold.sent:
            returned.append(event.transfer)
    loaded = Loaded()
    if keys:
        await load_accounts(connection, list(keys), loaded)
        fold.accounts.update(loaded.accounts)
    if lots:
        async for record in log_reads.table_rows(connection, "lots", "id = ANY ($1) AND NOT live", list(lots)):
            key = lots[record["id"]]
            dead = fold.dead.setdefault(key, {})
            if record["id"] not in dead and record["id"] not in fold.account(key).lots:
                dead[record["id"]] = lot_of(record)
    if returned:
        async for record in log_reads.table_rows(connection, "transfers", "id = ANY ($1)", returned):
            app, asset, from_user, to_user, amount = (
                record[name] for name in ("app", "asset", "from_user", "to_user", "amount")
            )
            created_at = from_datetime(record["created_at"])
            fold.sent[record["id"]] = Sent(app, asset, from_user, to_user, amount, created_at)


async def _write(connection: Connection, fold: Fold, partitions: int) -> None:
    """Put what a tail changed in the place of what was there."""
    keys = list(fold.accounts)
    lots, holds = list(lot_rows(fold)), list(hold_rows(fold))
    transfers = list(transfer_rows(fold, partitions))
    await new.remove_accounts(connection, keys)
    await new.copy(connection, "accounts", account_rows(fold))
    for table, rows in (("lots", lots), ("holds", holds), ("transfers", transfers)):
        await new.remove(connection, table, [row["id"] for row in rows])
        await new.copy(connection, table, rows)
    await new.copy(connection, "configs", config_rows(fold))
    await _copy_credits(connection, fold)
