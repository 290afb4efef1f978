"""What must hold: at every commit and every answer, and of the books in the end.

The books are proven by the product's own pure checks (`services/ledger/verify`), on the simulated log; the rest is
what only somebody outside can see.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from libs.events.bus import TopicPartition
from services.ledger.domain.state import Account
from services.ledger.requests import Answer, Request
from services.ledger.store.heads import Head
from services.ledger.store.log_reads import LogEvent
from services.ledger.store.log_source import EVENTS_TOPIC
from services.ledger.store.reads import Seen
from services.ledger.verify.checks import PartitionCheck
from services.ledger.verify.fold import Fold
from services.ledger.verify.tables import account_rows, config_rows, hold_rows, lot_rows, transfer_rows
from services.ledger.writer.once import REPEATABLE
from tests.sim.bus import Broker
from tests.sim.loop import Host, Loop
from tests.sim.statements import statement_of
from tests.sim.tables import Row, Tables, rows_of

_JSON = frozenset({"card", "cost_basis", "origin", "slices"})
_TOLD = frozenset({"append", "take_over", "renew", "relay_advance", "COMMIT"})
_SILENT = frozenset({"quote", "config", "account.freeze", "account.unfreeze", "account.budgets", "account.plan"})
"""Commands that may find things as they are to be."""
_NOT_FOUND = frozenset({"hold_not_found", "charge_not_found", "grant_not_found", "quote_not_found"})
_OUTCOMES_ONLY = frozenset({"ledger.command_refused.v1", "ledger.command_repeated.v1"})


@dataclass(slots=True)
class Asked:
    """One command of a caller: when it was first sent, and what it was told. Times count what callers saw happen."""

    caller: str
    key: str
    kind: str
    sent: int
    answered: int | None = None
    status: int = 0
    body: bytes = b""
    wants: tuple[str, int] | None = None
    """Whose credits it would take, and how many."""


class Look(NamedTuple):
    """A read of an account: when it was sent, and what was seen at which position."""

    key: tuple[str, str, str]
    partition: int
    sent: int
    seen: Seen


@dataclass
class Watch:
    """Collects what happens in a run, and what of it must not."""

    loop: Loop
    tables: Tables
    broker: Broker
    trace: list[tuple[Any, ...]] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    together: list[list[Asked]] = field(default_factory=list)
    """The commands of each batch that is done as a whole or not at all."""

    looks: list[Look] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    moment: int = 0

    def note(self, what: str, *facts: Any) -> None:
        """One line of the trace."""
        self.trace.append((round(self.loop.time(), 6), what, *facts))

    def wrong(self, invariant: str, detail: str) -> None:
        """A violation."""
        self.violations.append(f"{invariant}: {detail}")
        self.note("VIOLATION", invariant, detail)

    def digest(self) -> str:
        """What tells this run from every other: all that was traced, and where the log ended."""
        heads = [(head.partition, head.position, head.hash.hex()) for head in self.tables.heads.values()]
        return hashlib.sha256(repr((self.trace, heads)).encode()).hexdigest()

    # As it happens

    def committed(self, name: str, host: Host | None, args: Sequence[Any]) -> None:
        """A transaction has taken effect."""
        who = "" if host is None else host.name
        if name == "append":
            heads = rows_of(args[0])
            self.note("append", who, *[(int(head[0]), int(head[3])) for head in heads])
            for head in heads:
                now = self.tables.heads[int(head[0])].epoch
                if int(head[1]) != now:
                    self.wrong("I8", f"partition {head[0]}: a batch of epoch {head[1]} was committed in epoch {now}")
        elif name == "relay_advance":
            topic, partition, before, after, _ = args
            self._check_published(topic, partition, before, after)
        elif name == "COMMIT":
            self.note("consumed", who)
        elif name == "take_over":
            self.counts["takeovers"] += 1
            self.note("take over", who, args[0])

    def faulted(self, sql: str, fault: str, host: Host | None) -> None:
        """A statement or its answer is lost."""
        name = sql if sql.isupper() else statement_of(sql).name
        self.counts["statements lost"] += 1
        if name in _TOLD:
            self.note(f"{name} {fault}", "" if host is None else host.name)

    def _check_published(self, topic: str, partition: int, before: int, after: int) -> None:
        seen = self.broker.seen[TopicPartition(topic, partition)]
        rows = self.tables.events[partition][before:after]
        missing = [row["position"] for row in rows if row["event_id"].encode() not in seen]
        if missing:
            self.wrong("C7", f"the relay's checkpoint of {partition} passed {missing[0]}, which was never published")

    def answered(self, request: Request, answer: Answer, host: Host) -> None:
        """A process answers: what it says must be durable by now."""
        self.note("answer", host.name, request.key, answer.status, answer.replayed)
        if answer.status >= 300 and answer.status not in REPEATABLE:
            return
        stored = self.tables.results.get((request.app, request.user, request.key, request.caller))
        if stored is None:
            self.wrong("answer before commit", f"{request.type} {request.key} is answered {answer.status}, not stored")
        elif (stored["status"], stored["body"]) != (answer.status, answer.body):
            self.wrong("I6", f"{request.type} {request.key} is answered other than what is stored")

    def sends(self, caller: str, key: str, kind: str) -> Asked:
        """A caller sends a command for the first time."""
        asked = Asked(caller, key, kind, self.now())
        self.asked.append(asked)
        return asked

    def knows(self, asked: Asked, status: int, body: bytes) -> None:
        """A caller knows its outcome, perhaps not for the first time."""
        # What is no outcome is kept by nobody: asked again, the request is decided anew.
        is_outcome = asked.status < 300 or asked.status in REPEATABLE
        if asked.answered is None or not is_outcome:
            asked.answered, asked.status, asked.body = self.now(), status, body
        elif (asked.status, asked.body) != (status, body):
            self.wrong("I6", f"{asked.key} was answered {asked.status}, and then {status} or another body")

    def now(self) -> int:
        """The moment of something that a caller does."""
        self.moment += 1
        return self.moment

    def looked(self, look: Look) -> None:
        """An account was read."""
        self.looks.append(look)
        self.note("look", look.key[1], look.seen.position)

    # In the end

    def check_books(self, partitions: int) -> None:
        """I1 to I6, I8, I9, I11: the log by itself, the tables beside it, and what callers were told."""
        checks = []
        refused = self._refused()
        for number in range(partitions):
            check = PartitionCheck(number, partitions)
            looks = sorted([one for one in self.looks if one.partition == number], key=lambda one: one.seen.position)
            for row in self.tables.events[number]:
                self._check_looks(looks, check)
                self._check_refused(refused, check)
                check.feed(_log_event(row))
            self._check_looks(looks, check)
            self._check_refused(refused, check)
            if looks:
                self.wrong("I9", f"a read states position {looks[0].seen.position}, beyond the log")
            head = self.tables.heads[number]
            check.finish(Head(number, head.position, head.hash, head.epoch, head.time_us))
            for violation in check.found.kept:
                self.wrong(violation.invariant, str(violation))
            checks.append(check)
        self._check_tables([check.fold for check in checks], partitions)
        self._check_clearing(checks)
        self._check_answers()
        self._check_once()
        self._check_together()

    def _check_looks(self, looks: list[Look], check: PartitionCheck) -> None:
        """I9: a read equals the fold at its stated position."""
        while looks and looks[0].seen.position == check.position:
            look = looks.pop(0)
            told, folded = look.seen.account, check.fold.accounts.get(look.key)
            if (None if told is None else _balance(told)) != (None if folded is None else _balance(folded)):
                self.wrong("I9", f"{look.key[1]} was read at {check.position} other than the log says")

    def _refused(self) -> dict[tuple[int, int], list[Asked]]:
        """What was refused for want of credits, by the place in the log where it was."""
        refused: dict[tuple[int, int], list[Asked]] = defaultdict(list)
        stored = {(row["caller"], row["key"]): row for row in self.tables.results.values()}
        for asked in self.asked:
            row = stored.get((asked.caller, asked.key))
            if row is not None and row["status"] == 402 and asked.wants is not None:
                refused[row["partition"], row["position"]].append(asked)
        return refused

    def _check_refused(self, refused: dict[tuple[int, int], list[Asked]], check: PartitionCheck) -> None:
        """I2, the other way round: nothing is refused for which there was enough."""
        for asked in refused.get((check.fold.partition, check.position), ()):
            user, amount = asked.wants or ("", 0)
            account = next((one for key, one in check.fold.accounts.items() if key[1] == user), None)
            if account is not None and account.available() >= amount:
                detail = f"{amount} of {user} though {account.available()} were there at {check.position}"
                self.wrong("I2", f"{asked.kind} {asked.key} was refused {detail}")

    def _check_tables(self, folds: list[Fold], partitions: int) -> None:
        tables = self.tables
        told = {
            "accounts": {
                (row["app"], row["user_id"], row["asset"]): row for fold in folds for row in account_rows(fold)
            },
            "lots": {row["id"]: row for fold in folds for row in lot_rows(fold)},
            "holds": {row["id"]: row for fold in folds for row in hold_rows(fold)},
            "configs": {(row["app"], row["version"]): row for fold in folds for row in config_rows(fold)},
        }
        for table, expected in told.items():
            stored = {key: _plain(row) for key, row in getattr(tables, table).items()}
            for key in expected.keys() | stored.keys():
                if stored.get(key) != expected.get(key):
                    self.wrong("I5", f"{table} {key}: {stored.get(key)}, the log says {expected.get(key)}")
        received = {transfer: credit for fold in folds for transfer, credit in fold.received.items()}
        sent = {row["id"]: row for fold in folds for row in transfer_rows(fold, partitions)}
        for transfer in sorted(sent.keys() | tables.transfers.keys() | received.keys()):
            row, log = tables.transfers.get(transfer), sent.get(transfer)
            if row is None or log is None:
                self.wrong("I5", f"transfer {transfer}: in the table {row is not None}, in the log {log is not None}")
                continue
            status = "completed" if transfer in received else log["status"]
            if row["status"] != status and not (status == "pending" and row["status"] == "refused"):
                self.wrong("I5", f"transfer {transfer} is {row['status']}, the log says {status}")

    def _check_clearing(self, checks: list[PartitionCheck]) -> None:
        booked = sum(sum(check.clearing.values()) for check in checks)
        open_ = [row for row in self.tables.transfers.values() if row["status"] in ("pending", "refused")]
        moving = sum(row["amount"] for row in open_)
        if booked != moving:
            self.wrong("I11", f"clearing holds {booked}, but {moving} are in flight")

    def _check_answers(self) -> None:
        """I7: all are answered, as stored. I9: what was answered first lies before what was sent afterwards."""
        stored = {(row["caller"], row["key"]): row for row in self.tables.results.values()}
        spans = self._spans()
        happened: list[tuple[int, str, Asked]] = []
        for asked in self.asked:
            if asked.answered is None:
                self.wrong("I7", f"{asked.kind} {asked.key} has no outcome")
                continue
            if asked.status == 404 and orjson.loads(asked.body)["code"] in _NOT_FOUND:
                self.wrong("I5", f"{asked.kind} {asked.key}: what there is was not found")
            happened += [(asked.sent, "sent", asked), (asked.answered, "answered", asked)]
            result = stored.get((asked.caller, asked.key))
            if asked.body and (asked.status < 300 or asked.status in REPEATABLE):
                if result is None or (result["status"], result["body"]) != (asked.status, asked.body):
                    self.wrong(
                        "I6", f"{asked.kind} {asked.key} was answered {asked.status}, which is not what is stored"
                    )
                if asked.status < 300 and asked.kind not in _SILENT and not self._is_logged(asked, spans):
                    self.wrong("I6", f"{asked.kind} {asked.key} was answered {asked.status}, but is not in the log")
        floor: dict[int, int] = {}
        looks = sorted(self.looks, key=lambda look: look.sent, reverse=True)
        for moment, what, asked in sorted(happened, key=lambda one: one[0]):
            while looks and looks[-1].sent < moment:
                look = looks.pop()
                if look.seen.position < floor.get(look.partition, 0):
                    self.wrong("I9", f"{look.key[1]} was read at a position before what had been answered")
            for partition, position in spans[asked.caller, asked.key]:
                if what == "answered":
                    floor[partition] = max(floor.get(partition, 0), position)
                elif position <= floor.get(partition, 0):
                    self.wrong("I9", f"{asked.kind} {asked.key} lies before what was answered before it was sent")

    def _is_logged(self, asked: Asked, spans: Mapping[tuple[str, str], Sequence[object]]) -> bool:
        """Whether a success has events, of its own or, by its `unique_ref`, those of the command that it repeats."""
        return bool(spans.get((asked.caller, asked.key))) or orjson.loads(asked.body)["id"] in self.tables.by_object

    def _spans(self) -> dict[tuple[str, str], list[tuple[int, int]]]:
        """Where each command lies, by caller and key. One that is refused without being kept is refused again later."""
        spans: dict[tuple[str, str], list[tuple[int, int]]] = defaultdict(list)
        first: dict[tuple[str, str], str] = {}
        for rows in self.tables.events.values():
            for row in rows:
                key = (row["actor"], row["idempotency_key"])
                if row["idempotency_key"] and first.setdefault(key, row["transaction_id"]) == row["transaction_id"]:
                    spans[key].append((row["partition"], row["position"]))
        return spans

    def _check_once(self) -> None:
        """I6: one effect for each key."""
        effects: dict[tuple[str, str], set[str]] = defaultdict(set)
        for rows in self.tables.events.values():
            for row in rows:
                if row["idempotency_key"] and row["type"] not in _OUTCOMES_ONLY:
                    effects[row["actor"], row["idempotency_key"]].add(row["transaction_id"])
        for key, transactions in effects.items():
            if len(transactions) > 1:
                self.wrong("I6", f"{key} has taken effect {len(transactions)} times")

    def _check_together(self) -> None:
        """What is to be done as one was done whole, in one transaction, or not at all."""
        stored = {(row["caller"], row["key"]) for row in self.tables.results.values()}
        transactions: dict[tuple[str, str], str] = {}
        for rows in self.tables.events.values():
            for row in rows:
                transactions[row["actor"], row["idempotency_key"]] = row["transaction_id"]
        for batch in self.together:
            keys = [(asked.caller, asked.key) for asked in batch]
            done = [key in stored for key in keys]
            if any(done) != all(done):
                self.wrong("batch", f"{done.count(True)} of the {len(done)} commands of {keys[0]} were done")
            if len({transactions[key] for key in keys if key in transactions}) > 1:
                self.wrong("batch", f"{keys[0]} was done in several transactions")

    def check_consumed(self, partitions: int) -> None:
        """I10: what the consumer made of the log is the log."""
        for number in range(partitions):
            log = [(row["position"], row["event_id"]) for row in self.tables.events[number]]
            effects = self.tables.effects.get(number, [])
            if effects != log:
                place = next((n for n, pair in enumerate(zip(effects, log, strict=False)) if pair[0] != pair[1]), None)
                detail = f"{len(effects)} effects of {len(log)} events, first difference at {place}"
                self.wrong("I10", f"{EVENTS_TOPIC}/{number}: {detail}")


def _log_event(row: Row) -> LogEvent:
    return LogEvent(*list(row.values())[:22])


def _balance(account: Account) -> tuple[Any, ...]:
    lots = {lot.terms.id: lot.remaining for lot in account.lots.values()}
    return (account.version, account.settled, account.held, account.owed, lots, sorted(account.holds))


def _plain(row: Row) -> dict[str, Any]:
    plain = dict(row.items())
    for name in _JSON & plain.keys():
        if plain[name] is not None:
            plain[name] = orjson.loads(plain[name])
    return plain
