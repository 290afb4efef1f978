"""How long it takes to prove, to rebuild and to decide again a ledger of a million events.

The log is made in bulk: the ledger's own rules decide every command, its own writer's code makes the rows and their
hash chain, and COPY brings them into the table, past the queue and the answers. The tables beside the log are then
made by `rebuild`, whose second run is the one that is measured.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from time import perf_counter
from typing import Any

from libs.events.ids import Ids, UlidSource
from libs.events.partition import partition_of
from libs.service.clock import to_datetime
from libs.service.db import connect
from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.config import AppConfig, ConfigDocument, canonical, compile_config
from services.ledger.domain.decide import Context, decide
from services.ledger.domain.records import Loaded, charge_record
from services.ledger.domain.state import Account, Profile, pruned
from services.ledger.rebuild import rebuild
from services.ledger.store.heads import Head
from services.ledger.store.log_reads import EVENT_COLUMNS, read_heads
from services.ledger.store.setup import prepare
from services.ledger.verify.run import verify
from services.ledger.verify.workers import Report, each_partition, jobs_default
from services.ledger.whatif.run import what_if
from services.ledger.writer.log import APP_ACCOUNT, LogRows, Origin

APP, ASSET = "bench", "credits"
EVENTS = 1_000_000
ACCOUNTS = 10_000
PARTITIONS = 16
START_US = 1_767_225_600_000_000
_STEP_US = 1000
_COPIED_AT_ONCE = 5000
_DOCUMENT = ConfigDocument.model_validate({"assets": {ASSET: {"scale": 2}}})


@dataclass(frozen=True, slots=True)
class Truth:
    """Seconds for so many events of so many accounts, by so many processes."""

    events: int
    accounts: int
    jobs: int
    made_s: float
    verify_s: float
    rebuild_s: float
    what_if_s: float

    def __str__(self) -> str:
        return (
            f"{self.events:,} events of {self.accounts:,} accounts, {self.jobs} processes: "
            f"verify {self.verify_s:.1f} s ({self.events / self.verify_s:,.0f}/s), "
            f"rebuild and compare {self.rebuild_s:.1f} s ({self.events / self.rebuild_s:,.0f}/s), "
            f"what-if {self.what_if_s:.1f} s ({self.events / self.what_if_s:,.0f}/s); "
            f"making them took {self.made_s:.1f} s"
        )


@dataclass(slots=True)
class _Task:
    dsn: str
    head: Head
    users: list[str]
    events: int


def measure(
    owner_dsn: str, runtime_dsn: str, runtime_role: str, tell: Callable[[str], None], events: int = EVENTS
) -> Truth:
    """Make a log in an empty database and measure. Raises RuntimeError if the books are not proven."""
    return asyncio.run(_measure(owner_dsn, runtime_dsn, runtime_role, tell, events))


async def _measure(
    owner_dsn: str, runtime_dsn: str, runtime_role: str, tell: Callable[[str], None], events: int
) -> Truth:
    jobs = jobs_default()
    tell(f"making {events:,} events")
    began = perf_counter()
    await prepare(owner_dsn, runtime_role, PARTITIONS, ["0"])
    await _make_log(owner_dsn, events, jobs)
    await rebuild(owner_dsn, swap=True, jobs=jobs)
    made_s = perf_counter() - began
    tell("verifying")
    began = perf_counter()
    proven = await verify(runtime_dsn, jobs=jobs)
    verify_s = perf_counter() - began
    if not proven.ok:
        raise RuntimeError(f"the books are wrong: {proven.violations[0]}")
    tell("rebuilding")
    began = perf_counter()
    anew = await rebuild(owner_dsn, jobs=jobs)
    rebuild_s = perf_counter() - began
    if anew.difference_count:
        raise RuntimeError(f"the rebuilt tables differ: {anew.differences[0]}")
    tell("deciding again")
    began = perf_counter()
    found = await what_if(runtime_dsn, APP, _DOCUMENT, START_US, START_US + events * _STEP_US, jobs=jobs)
    what_if_s = perf_counter() - began
    other = sum(difference.commands - difference.same for difference in found.values())
    if other:
        raise RuntimeError(f"{other} commands came out otherwise under the same rules")
    return Truth(proven.events, ACCOUNTS, jobs, made_s, verify_s, rebuild_s, what_if_s)


async def _make_log(dsn: str, events: int, jobs: int) -> None:
    users: dict[int, list[str]] = {partition: [] for partition in range(PARTITIONS)}
    for number in range(ACCOUNTS):
        user = f"user-{number:06d}"
        users[partition_of(APP, user, PARTITIONS)].append(user)
    connection = await connect(dsn, application_name="bench")
    try:
        heads = await read_heads(connection)
        tasks = [_Task(dsn, heads[n], users[n], events * len(users[n]) // ACCOUNTS) for n in heads]
        ends = await each_partition(_fill, tasks, jobs, lambda _events: None)
        await connection.executemany(
            "UPDATE heads SET position = $2, hash = $3, time = $4 WHERE partition = $1",
            [(head.partition, head.position, head.hash, to_datetime(head.time_us)) for head in ends],
        )
        await connection.execute("ANALYZE")
    finally:
        await connection.close()


async def _fill(task: _Task, report: Report) -> Head:
    """Write one partition's events; the head after them."""
    partition = task.head.partition
    log = LogRows({partition: task.head})
    connection = await connect(task.dsn, application_name="bench", statement_timeout_ms=0)
    try:
        for now in _decided(task, log):
            if len(log.rows) >= _COPIED_AT_ONCE or now is None:
                rows = [_stored(row) for row in log.rows]
                await connection.copy_records_to_table("events", columns=EVENT_COLUMNS.split(", "), records=rows)
                report(len(rows))
                log.rows.clear()
    finally:
        await connection.close()
    return log.heads[partition]


def _stored(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """A row as the writer sends it, with the types that the table has and its schema version."""
    time_us, payload, digest = row[15:18]
    return (*row[:8], 1, *row[8:15], to_datetime(time_us), payload.encode(), bytes.fromhex(digest), *row[18:21])


def _decided(task: _Task, log: LogRows) -> Iterator[int | None]:
    """Decide commands until there are events enough, adding them to the log; the time of each, None at the end."""
    partition = task.head.partition
    config = compile_config(APP, 1, _DOCUMENT)
    ulids, chance, now = UlidSource(), random.Random(partition), START_US
    head = log.touch(partition)
    if partition_of(APP, APP_ACCOUNT, PARTITIONS) == partition:
        event = ev.ConfigApplied(at=now, version=1, document=canonical(_DOCUMENT))
        _add(log, APP_ACCOUNT, [event], Ids(ulids, partition, now), 0)
    books = {user: _Book(user, partition) for user in task.users}
    while head.position < task.events:
        now += _STEP_US
        user = chance.choice(task.users)
        ids = Ids(ulids, partition, now)
        events = books[user].step(chance, config, now, ids)
        _add(log, user, events, ids, 2)
        head.time_us = now
        yield now
    yield None


class _Book:
    """One user, who gets credits, spends them directly or by holds, and sometimes gets a charge back."""

    def __init__(self, user: str, partition: int) -> None:
        self._account = Account(Profile(APP, user, ASSET, 2, partition))
        self._hold: str | None = None
        self._charge: ev.CreditsCharged | None = None

    def step(self, chance: random.Random, config: AppConfig, now: int, ids: Ids) -> list[ev.AccountEvent]:
        """What the next command comes to."""
        command: cmd.Command
        loaded = Loaded()
        dice = chance.random()
        if self._account.available() < 1000:
            command = cmd.Grant(amount=100_000, source="paid")
        elif self._hold is not None:
            command = cmd.CaptureHold(hold=self._hold, amount=chance.randrange(1, 100))
            self._hold = None
        elif dice < 0.2:
            command = cmd.CreateHold(amount=100, role="service")
        elif dice < 0.25 and self._charge is not None:
            loaded.charge = charge_record([self._charge])
            command = cmd.Refund(charge=self._charge.charge)
            self._charge = None
        else:
            command = cmd.Charge(amount=chance.randrange(1, 100))
        outcome = decide(self._account, command, Context(config, now, ids, loaded))
        self._account = pruned(outcome.account)
        events = [*outcome.due, *outcome.events]
        for event in events:
            if isinstance(event, ev.HoldCreated):
                self._hold = event.hold
            elif isinstance(event, ev.CreditsCharged):
                self._charge = event
        return events


def _add(log: LogRows, user: str, events: Sequence[ev.Event], ids: Ids, scale: int) -> None:
    """Put the events of one command into the log."""
    event_id = ids.new("event")
    suffix = event_id.removeprefix("event_")
    command, transaction = f"command_{suffix}", f"transaction_{suffix}"
    origin = Origin(event_id, APP, user, transaction, command, command, command, "bench", f"key-{suffix}", None)
    (partition,) = log.heads
    for number, event in enumerate(events):
        log.add(origin, partition, event, scale, ids.new("event") if number else event_id)
