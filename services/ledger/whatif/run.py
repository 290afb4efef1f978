"""What-if over a ledger's log: each partition in a process, in one snapshot beside the running ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter

from libs.service.clock import to_datetime
from services.ledger.domain import codec
from services.ledger.domain import events as ev
from services.ledger.domain.config import ConfigDocument, compile_config
from services.ledger.store import log_reads
from services.ledger.store.log_reads import AccountRow
from services.ledger.verify.workers import Meter, NoMeter, Report, each_partition
from services.ledger.whatif.period import AccountDifference, Key, Period


@dataclass(frozen=True, slots=True)
class _Task:
    dsn: str
    snapshot: str
    partition: int
    app: str
    document: str
    since: int
    until: int


async def what_if(
    dsn: str,
    app: str,
    document: ConfigDocument,
    since: int,
    until: int,
    *,
    jobs: int = 1,
    meter: Meter | None = None,
) -> dict[Key, AccountDifference]:
    """The accounts of `app` that a period touched, then and under `document`. Times are microseconds; `until` is not
    included. LookupError for a database that is no ledger's.

    Nothing is written. Memory grows with the app's accounts, not with their events.
    """
    meter = meter or NoMeter()
    async with log_reads.snapshot(dsn) as connection:
        heads = await log_reads.read_heads(connection)
        await log_reads.read_partitions(connection)
        meter.expect(sum(head.position for head in heads.values()))
        shared = await log_reads.export_snapshot(connection)
        text = document.model_dump_json()
        tasks = [_Task(dsn, shared, partition, app, text, since, until) for partition in heads]
        found = await each_partition(_partition, tasks, jobs, meter.advance)
    return {key: difference for part in found for key, difference in part.items()}


async def _partition(task: _Task, report: Report) -> dict[Key, AccountDifference]:
    config = compile_config(task.app, 0, ConfigDocument.model_validate_json(task.document))
    async with log_reads.snapshot(task.dsn, task.snapshot) as connection:
        refunded = await log_reads.charges_refunded(connection, task.partition, task.app)
        period = Period(task.partition, task.since, config, refunded)
        pending: list[AccountRow] = []
        until = to_datetime(task.until)
        async for page in log_reads.read_accounts_log(connection, task.partition, task.app, until):
            *whole, pending = [*_commands([*pending, *page])]
            for rows in whole:
                _feed(period, task.app, rows)
            report(len(page))
        if pending:
            _feed(period, task.app, pending)
    return period.accounts


def _commands(rows: list[AccountRow]) -> Iterator[list[AccountRow]]:
    """Rows of one command each, which follow each other; the last of a page may go on in the next."""
    return (list(group) for _, group in groupby(rows, attrgetter("command_id")))


def _feed(period: Period, app: str, rows: list[AccountRow]) -> None:
    events = []
    for row in rows:
        event = codec.decode(row.type, row.payload, row.time_us)
        if isinstance(event, ev.AccountEvent):
            events.append(event)
    period.feed((app, rows[0].user, rows[0].asset), rows[0].actor, events)
