"""What a trial must have left behind, checked against what its load remembers. None of the ledger's folding is used."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from libs.service.db import connect
from services.ledger.verify.run import verify
from tests.chaos.cluster import APP, CALLER, SERVICE, Cluster
from tests.chaos.load import Entry, Load

STORED = frozenset({402, 404, 409})
"""Refusals that are outcomes, kept under their key. The rest of 4xx is the load's own fault."""
SHOWN = 20


@dataclass(slots=True)
class Verdict:
    """How much was looked at, and what was wrong with it."""

    commands: int = 0
    succeeded: int = 0
    refused: int = 0
    repeated: int = 0
    events: int = 0
    heard: int = 0
    anchors: int = 0
    pairs: int = 0
    """Pairs of commands, one answered before the other was sent, whose positions were compared."""

    violations: list[str] = field(default_factory=list)

    def require(self) -> None:
        """AssertionError, naming the first violations, if there are any."""
        shown = "\n".join(self.violations[:SHOWN])
        assert not self.violations, f"{len(self.violations)} violations:\n{shown}"


async def judge(cluster: Cluster, load: Load, *, complete: bool = True) -> Verdict:
    """Compare a finished load with the books of a cluster that is quiet (`Cluster.quiet`), and verify these.

    Checked are: every command has an outcome (I7), which is stored as it was answered, also to those that asked twice,
    and has one effect in the log or none (I6); what was answered before something else was sent lies before it (I9);
    balances are those of an independent count (I5); the service beside the ledger has heard every event once and in
    order (I10), if there is one; `verify` and the anchors find nothing (I1–I5, I8, I11, I12). `complete`: the load is
    all that ever happened in these books; without it, balances are not compared.
    """
    verdict = Verdict(commands=len(load.entries))
    problems = verdict.violations
    problems += [f"I7: no outcome: {entry}" for entry in load.entries if not entry.status]
    problems += [f"answered {status}: {count} times" for status, count in load.faults.items() if status == "500"]
    known = [entry for entry in load.entries if entry.status]
    verdict.succeeded = sum(entry.succeeded for entry in known)
    verdict.refused = len(known) - verdict.succeeded
    verdict.repeated = sum(entry.replay is not None for entry in known)
    connection = await connect(cluster.dsn("ledger"), application_name="judge", statement_timeout_ms=0)
    try:
        stored = await _stored(connection)
        _check_outcomes(known, stored, problems)
        _check_effects(known, await _effects(connection), problems)
        verdict.pairs = _check_order(known, stored, problems)
        if complete:
            _check_balances(known, await _balances(connection), problems)
        log = await _log(connection)
        verdict.events = sum(map(len, log.values()))
    finally:
        await connection.close()
    if "consumer" in cluster.processes:
        verdict.heard = await _check_heard(cluster, log, problems)
    anchors = cluster.anchors
    proven = await verify(cluster.dsn("ledger"), anchors=anchors if anchors.directory.exists() else None)
    verdict.anchors = proven.anchors
    problems += [f"verify: {violation}" for violation in proven.violations]
    return verdict


@dataclass(slots=True)
class Stored:
    """An outcome as the ledger keeps it."""

    status: int
    body: dict[str, Any]
    partition: int
    position: int


async def _stored(connection: Any) -> dict[tuple[str, str], Stored]:
    rows = await connection.fetch(
        "SELECT caller, key, status, body, partition, position FROM results WHERE app = $1", APP
    )
    return {
        (row["caller"], row["key"]): Stored(row["status"], orjson.loads(row["body"]), row["partition"], row["position"])
        for row in rows
    }


def _caller(entry: Entry) -> str:
    return CALLER if entry.door == "http" else SERVICE


def _check_outcomes(known: Sequence[Entry], stored: dict[tuple[str, str], Stored], problems: list[str]) -> None:
    for entry in known:
        found = stored.get((_caller(entry), entry.key))
        if not entry.succeeded and entry.status not in STORED:
            problems.append(f"the load asked for what is no request: {entry}")
        elif found is None:
            problems.append(f"I6: answered, and nothing is stored: {entry}")
        elif entry.kind == "transfer" and entry.succeeded:
            # Its answer tells what has become of it since.
            if found.body["id"] != entry.answer["id"]:
                problems.append(f"I6: stored is {found}, answered was {entry}")
        elif entry.door == "http" and (found.status, found.body) != (entry.status, entry.answer):
            problems.append(f"I6: stored is {found}, answered was {entry}")
        elif entry.door == "kafka" and found.status != entry.status:
            problems.append(f"I6: stored is {found}, heard was {entry}")
        if entry.replay is None or (entry.kind == "transfer" and entry.succeeded):
            continue
        if entry.replay != (entry.status, entry.answer):
            problems.append(f"I6: repeated, the answer was another: {entry}")


async def _effects(connection: Any) -> Counter[str]:
    """In how many transactions each key has had an effect."""
    rows = await connection.fetch(
        "SELECT idempotency_key AS key, count(DISTINCT transaction_id) AS number FROM events"
        " WHERE app = $1 AND type NOT LIKE 'ledger.command_refused.%' GROUP BY 1",
        APP,
    )
    return Counter({row["key"]: row["number"] for row in rows})


def _check_effects(known: Sequence[Entry], effects: Counter[str], problems: list[str]) -> None:
    problems += [
        f"I6: {effects[entry.key]} effects of {entry}" for entry in known if effects[entry.key] != entry.succeeded
    ]


def _check_order(known: Sequence[Entry], stored: dict[tuple[str, str], Stored], problems: list[str]) -> int:
    """I9, per partition: whatever was sent after an answer lies behind the highest position answered until then."""
    moments: dict[int, list[tuple[float, bool, int, Entry]]] = defaultdict(list)
    for entry in known:
        found = stored.get((_caller(entry), entry.key))
        if found is not None:
            moments[found.partition].append((entry.sent, False, found.position, entry))
            moments[found.partition].append((entry.answered, True, found.position, entry))
    pairs = 0
    for each in moments.values():
        highest: tuple[int, Entry] | None = None
        for _, answered, position, entry in sorted(each, key=lambda moment: moment[:2]):
            if answered:
                if highest is None or position > highest[0]:
                    highest = (position, entry)
            elif highest is not None:
                pairs += 1
                # A refusal writes nothing, and is stored with the head as it was.
                if position < highest[0] + entry.succeeded:
                    problems.append(f"I9: {entry} at {position}, sent after the answer to {highest[1]} at {highest[0]}")
    return pairs


def _check_balances(known: Sequence[Entry], found: dict[str, tuple[int, int, int]], problems: list[str]) -> None:
    settled: Counter[str] = Counter()
    held: Counter[str] = Counter()
    objects: dict[str, tuple[str, int]] = {}
    for entry in known:
        if not entry.succeeded:
            continue
        user, amount = entry.body.get("user", ""), int(entry.body.get("amount", 0))
        if entry.kind == "grant":
            settled[user] += amount
        elif entry.kind == "charge":
            settled[user] -= amount
        elif entry.kind == "hold":
            held[user] += amount
        elif entry.kind == "transfer":
            settled[entry.body["from_user"]] -= amount
            settled[entry.body["to_user"]] += amount
        if "id" in entry.answer:
            objects.setdefault(entry.answer["id"], (user, amount))
    for entry in known:
        if entry.succeeded and entry.kind in ("capture", "release", "refund"):
            user, whole = objects[entry.path.split("/")[1]]
            amount = int(entry.body.get("amount", 0))
            settled[user] += amount if entry.kind == "refund" else -amount
            if entry.kind != "refund":
                held[user] -= whole
    for user in settled.keys() | held.keys() | found.keys():
        expected = (settled[user], held[user], 0)
        if found.get(user, (0, 0, 0)) != expected:
            problems.append(f"I5: {user} has {found.get(user)} (settled, held, owed), counted are {expected}")


async def _balances(connection: Any) -> dict[str, tuple[int, int, int]]:
    rows = await connection.fetch("SELECT user_id, settled, held, owed FROM accounts WHERE app = $1", APP)
    return {row["user_id"]: (row["settled"], row["held"], row["owed"]) for row in rows if row["user_id"][0] != "@"}


async def _log(connection: Any) -> dict[int, list[str]]:
    """The ids of all events in the order of each partition."""
    log: dict[int, list[str]] = defaultdict(list)
    for row in await connection.fetch("SELECT partition, event_id FROM events ORDER BY partition, position"):
        log[row["partition"]].append(row["event_id"])
    return log


async def _check_heard(cluster: Cluster, log: dict[int, list[str]], problems: list[str]) -> int:
    """I10: what the service noted is the log, event by event; how many."""
    connection = await asyncpg.connect(cluster.dsn(SERVICE))
    try:
        rows = await connection.fetch("SELECT partition, seq, event_id FROM heard ORDER BY place")
        dead = await connection.fetchval("SELECT count(*) FROM dead_letters")
    finally:
        await connection.close()
    heard: dict[int, list[str]] = defaultdict(list)
    for row in rows:
        heard[row["partition"]].append(row["event_id"])
    for partition, events in log.items():
        if heard[partition] != events:
            first = next(
                (n for n, pair in enumerate(zip(heard[partition], events, strict=False)) if pair[0] != pair[1]),
                min(len(heard[partition]), len(events)),
            )
            problems.append(
                f"I10: of partition {partition}, {len(heard[partition])} events were heard and {len(events)} are in the"
                f" log; they differ from place {first + 1} on"
            )
    if dead:
        problems.append(f"I10: {dead} dead letters")
    return len(rows)
