"""`verify`: every partition checked in one snapshot beside the running ledger, several at once in processes."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from libs.service.db import Connection
from services.ledger.anchors import AnchorBook, AnchorPlace, read_anchors
from services.ledger.store import log_reads
from services.ledger.store.heads import Head
from services.ledger.verify.checks import VIOLATIONS_MAX, Findings, PartitionCheck, Violation
from services.ledger.verify.results import check_results
from services.ledger.verify.tables import TableCheck
from services.ledger.verify.workers import Meter, NoMeter, Report, each_partition

_LAST = 1 << 63


@dataclass(slots=True)
class _Task:
    dsn: str
    snapshot: str
    head: Head
    partitions: int
    anchors: Mapping[int, bytes]


@dataclass(slots=True)
class _Checked:
    """What came of one partition."""

    violations: list[Violation]
    violation_count: int
    events: int
    texts: int
    clearing: Counter[tuple[str, str]]
    in_flight: Counter[tuple[str, str]]


@dataclass(slots=True)
class Verification:
    """What a verification looked at and what it found. `violations` are in order of the log, the kept ones only."""

    partitions: int = 0
    events: int = 0
    texts: int = 0
    anchors: int = 0
    violations: list[Violation] = field(default_factory=list)
    violation_count: int = 0
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the books are proven."""
        return not self.violation_count

    def add(self, violations: Sequence[Violation], count: int) -> None:
        """Take over what was found somewhere."""
        self.violations += violations
        self.violation_count += count


def text_digest(salt: bytes, body: str) -> str:
    """What an event keeps of its erasable text: SHA-256 of salt and text, in hexadecimal."""
    return hashlib.sha256(salt + body.encode()).hexdigest()


async def verify(
    dsn: str,
    *,
    partition: int | None = None,
    jobs: int = 1,
    anchors: AnchorPlace | None = None,
    meter: Meter | None = None,
) -> Verification:
    """Prove the books of the ledger at `dsn`, or of one `partition`, as of one moment; it may go on writing.

    What concerns several partitions (credits in flight, stray texts) is checked only with all of them. Raises
    ValueError for a partition that does not exist, LookupError for a database that is no ledger's.
    """
    outcome = Verification()
    async with log_reads.snapshot(dsn) as connection:
        partitions = await log_reads.read_partitions(connection)
        heads = await log_reads.read_heads(connection)
        chosen = heads if partition is None else {n: head for n, head in heads.items() if n == partition}
        if not chosen:
            raise ValueError(f"there is no partition {partition}")
        whole = Findings(None)
        if sorted(heads) != list(range(partitions)):
            whole.add("I3", f"there are heads of {len(heads)} partitions, not of {partitions}")
        known = AnchorBook()
        if anchors is not None:
            known = read_anchors(anchors, await log_reads.read_streams(connection))
        for fault in known.faults:
            whole.add("I4", f"anchors: {fault}")
        outcome.anchors = known.anchors
        meter = meter or NoMeter()
        meter.expect(sum(head.position for head in chosen.values()))
        shared = await log_reads.export_snapshot(connection)
        tasks = [_Task(dsn, shared, head, partitions, known.hashes.get(n, {})) for n, head in chosen.items()]
        results = await each_partition(_check_partition, tasks, jobs, meter.advance)
        for result in results:
            outcome.events += result.events
            outcome.texts += result.texts
            outcome.add(result.violations, result.violation_count)
        if partition is None:
            _check_in_flight(results, whole)
            await _check_strays(connection, outcome.texts, whole)
        outcome.partitions = len(tasks)
    outcome.add(whole.kept, whole.count)
    outcome.violations.sort(key=_place)
    if known.headless:
        outcome.notes.append("the first anchor follows one that is not there: older files were put away, or all were")
    if known.unreadable:
        outcome.notes.append(f"{known.unreadable} unreadable lines among the anchors were passed over")
    return outcome


def _place(violation: Violation) -> tuple[int, int]:
    """Order of the log; what is not in it comes last."""
    partition, position = violation.partition, violation.position
    return (_LAST if partition is None else partition, _LAST if position is None else position)


async def _check_partition(task: _Task, report: Report) -> _Checked:
    head = task.head
    check = PartitionCheck(head.partition, task.partitions, task.anchors)
    events = texts = 0
    async with log_reads.snapshot(task.dsn, task.snapshot) as connection:
        async for page in log_reads.read_log(connection, head.partition):
            for row in page:
                check.feed(row)
            texts += await _check_texts(connection, check)
            events += len(page)
            report(len(page))
        check.finish(head)
        tables = TableCheck(connection, check.fold, check.found, check.broken, task.partitions)
        await tables.run()
        await check_results(connection, head.partition, check.found)
    found = check.found
    return _Checked(found.kept, found.count, events, texts, check.clearing, tables.in_flight)


async def _check_texts(connection: Connection, check: PartitionCheck) -> int:
    """Compare the texts of a page that have not been erased; how many there were."""
    if not check.digests:
        return 0
    rows = await log_reads.read_texts(connection, list(check.digests))
    for event_id, text in rows.items():
        check.check_text(event_id, text.app, text.user, text_digest(text.salt, text.body))
    check.digests.clear()
    return len(rows)


def _check_in_flight(results: Sequence[_Checked], whole: Findings) -> None:
    """What lies in clearing is what transfers that are on their way say."""
    clearing: Counter[tuple[str, str]] = Counter()
    in_flight: Counter[tuple[str, str]] = Counter()
    for result in results:
        clearing.update(result.clearing)
        in_flight.update(result.in_flight)
    for app, asset in sorted(clearing.keys() | in_flight.keys()):
        booked, moving = clearing[app, asset], in_flight[app, asset]
        if booked != moving:
            whole.add("I11", f"@clearing of {app}/{asset} holds {booked} units, but {moving} are in flight")


async def _check_strays(connection: Connection, matched: int, whole: Findings) -> None:
    total, strays = await log_reads.stray_texts(connection, VIOLATIONS_MAX)
    for event_id in strays:
        whole.add("I5", f"texts: {event_id}: there is no such event")
    if total != matched and not strays:
        whole.add("I5", f"texts: {total - matched} texts belong to events that have none")
