"""Every statement that the processes of a simulation send, and what it does to the simulated tables.

A statement is known by how its text begins, so that the SQL stays the product's. One that is not known fails the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from services.ledger.store.append import APPEND
from services.ledger.store.log_source import SOURCE
from tests.sim.append import Effect, Key, append, append_locks, take_over, take_over_locks
from tests.sim.tables import STREAM, Row, Tables, rows_of

__all__ = ["Effect", "Key", "Statement", "statement_of"]

Args = Sequence[Any]
Answer = tuple[Any, Effect | None]
LAST = 1 << 62


@dataclass(frozen=True, slots=True)
class Statement:
    """`locks` is None for one that only reads; `run` answers, and gives what is to happen at the commit.

    `plain`: a query that begins with the names of its columns, of which only those are answered.
    """

    name: str
    locks: Callable[[Tables, Args], Iterable[Key]] | None
    run: Callable[[Tables, Args], Answer]
    plain: bool = False


def _unlocked(_tables: Tables, _args: Args) -> list[Key]:
    return []


# The writer


def _by_keys(table: str) -> Callable[[Tables, Args], Answer]:
    def read(tables: Tables, args: Args) -> Answer:
        found = getattr(tables, table)
        keys = [tuple(text or "" for text in row) for row in rows_of(list(args))]
        return [found[key] for key in keys if key in found], None

    return read


def _of_accounts(table: str, which: Callable[[Row], bool]) -> Callable[[Tables, Args], Answer]:
    def read(tables: Tables, args: Args) -> Answer:
        keys = set(rows_of(list(args)))
        rows = getattr(tables, table).values()
        found = [row for row in rows if (row["app"], row["user_id"], row["asset"]) in keys and which(row)]
        return sorted(found, key=lambda row: str(row["id"])), None

    return read


def _by_ids(table: str) -> Callable[[Tables, Args], Answer]:
    def read(tables: Tables, args: Args) -> Answer:
        found = getattr(tables, table)
        return [found[one] for one in dict.fromkeys(args[0]) if one in found], None

    return read


def _objects(tables: Tables, args: Args) -> Answer:
    rows = [row for one in dict.fromkeys(args[0]) for row in tables.by_object.get(one, ())]
    return sorted(rows, key=lambda row: (row["partition"], row["position"])), None


def _selected(sql: str, read: Callable[[Tables, Args], Answer]) -> Callable[[Tables, Args], Answer]:
    """Only the columns that a query names, in its order."""
    names = [name.strip().rpartition(".")[2] for name in sql.removeprefix("SELECT ").partition(" FROM ")[0].split(",")]

    def run(tables: Tables, args: Args) -> Answer:
        rows, _ = read(tables, args)
        return [Row({name: row[name] for name in names}) for row in rows], None

    return run


# The lease


def _lease(tables: Tables, args: Args) -> Answer:
    row = tables.shards.get(args[0])
    return ([] if row is None else [Row(holder=row["holder"], url=row["url"], beat=row["beat"])]), None


def _lease_lock(_tables: Tables, args: Args) -> list[Key]:
    return [("lease", args[0])]


def _renew(tables: Tables, args: Args) -> Answer:
    shard, holder = args
    row = tables.shards.get(shard)
    if row is None or row["holder"] != holder:
        return [], None
    raised = Row({**dict(row.items()), "beat": row["beat"] + 1})
    harm = _halt(tables, args)[0] or [Row(invariant=None, partition=None, position=None)]
    return harm, lambda: tables.shards.__setitem__(shard, raised)


def _halt(tables: Tables, _args: Args) -> Answer:
    return ([Row(invariant="I5", partition=None, position=None)] if tables.halted else []), None


def _working(tables: Tables, args: Args) -> Answer:
    busy = tables.activity(args[0], False)
    return ([] if busy is None else [Row(working=busy)]), None


def _terminate(tables: Tables, args: Args) -> Answer:
    tables.activity(args[0], True)
    return "SELECT 1", None


def _give_up(tables: Tables, args: Args) -> Answer:
    shard, holder = args
    row = tables.shards.get(shard)
    if row is None or row["holder"] != holder:
        return "UPDATE 0", None
    free = Row({**dict(row.items()), "holder": ""})
    return "UPDATE 1", lambda: tables.shards.__setitem__(shard, free)


# Jobs and doors


def _latest_configs(tables: Tables, args: Args) -> Answer:
    known = dict(zip(args[0], args[1], strict=True))
    news = sorted(key for key in tables.configs if key[1] > known.get(key[0], 0))
    columns = ("app", "version", "document", "applied_at")
    return [Row({name: tables.configs[key][name] for name in columns}) for key in news], None


def _accounts_due(tables: Tables, args: Args) -> Answer:
    now, partitions, apps, _, limit = args
    rows = [
        row
        for row in tables.accounts.values()
        if row["due_at"] is not None
        and row["due_at"] <= now
        and row["partition"] in partitions
        and row["app"] not in apps
    ]
    rows.sort(key=lambda row: (row["due_at"], row["user_id"]))
    return [Row({name: row[name] for name in ("app", "user_id", "asset", "due_at")}) for row in rows[:limit]], None


def _resets_due(tables: Tables, args: Args) -> Answer:
    app, due_at, partitions = args
    rows = [row for row in tables.accounts.values() if row["app"] == app and row["partition"] in partitions]
    waiting = {row["partition"] for row in rows if row["due_at"] is not None and row["due_at"] <= due_at}
    return [Row(partition=partition) for partition in sorted(waiting)], None


def _lots_beginning(tables: Tables, args: Args) -> Answer:
    after, last, app, effective_at, limit = args
    rows = [row for name, row in sorted(tables.lots.items()) if after < name <= last and row["app"] == app]
    found = [row for row in rows if row["effective_at"] == effective_at]
    return [Row({name: row[name] for name in ("id", "user_id", "asset")}) for row in found[:limit]], None


def _resets_told(tables: Tables, args: Args) -> Answer:
    app, user, keys = args
    rows = (tables.results.get((app, user, key, "@clock")) for key in keys)
    return [Row(key=row["key"], body=row["body"]) for row in rows if row is not None], None


def _transfers_waiting(tables: Tables, args: Args) -> Answer:
    partitions, limit = args
    rows = [
        row
        for row in tables.transfers.values()
        if (row["status"] == "pending" and row["to_partition"] in partitions)
        or (row["status"] == "refused" and row["from_partition"] in partitions)
    ]
    rows.sort(key=lambda row: (row["created_at"], row["id"]))
    return rows[:limit], None


def _debit(tables: Tables, args: Args) -> Answer:
    rows = [row for row in tables.by_object.get(args[0], ()) if row["type"] == "ledger.transfer_debited.v1"]
    return rows[:1], None


def _open_dead_letters(tables: Tables, args: Args) -> Answer:
    counts = Counter(row["source"] for row in tables.dead_letters.values() if row["consumer"] == args[0])
    return [Row(source=source, open=count) for source, count in counts.items()], None


def _none(_tables: Tables, _args: Args) -> Answer:
    return [], None


def _no(_tables: Tables, _args: Args) -> Answer:
    return [Row(exists=False)], None


# Messaging


def _head_positions(tables: Tables, _args: Args) -> Answer:
    return [Row(partition=head.partition, position=head.position) for head in tables.heads.values()], None


def _head_position(tables: Tables, args: Args) -> Answer:
    return [Row(position=tables.heads[args[0]].position)], None


def _log_page(tables: Tables, args: Args) -> Answer:
    partition, after, limit = args
    rows = tables.events[partition][after : after + limit]
    return [Row({**dict(row.items()), "stream": STREAM}) for row in rows], None


def _streams(_tables: Tables, _args: Args) -> Answer:
    return [Row(stream=STREAM, forked_at=0)], None


def _relay_locks(_tables: Tables, args: Args) -> list[Key]:
    return [("relay", place) for place in zip(*args, strict=True)]


def _relay_take_over(tables: Tables, args: Args) -> Answer:
    rows = {}
    for place in zip(*args, strict=True):
        known = tables.relay.get(place, Row(seq=0, epoch=0))
        rows[place] = Row(topic=place[0], partition=place[1], seq=known["seq"], epoch=known["epoch"] + 1)
    return list(rows.values()), lambda: tables.relay.update(rows)


def _relay_lock(_tables: Tables, args: Args) -> list[Key]:
    return [("relay", (args[0], args[1]))]


def _relay_advance(tables: Tables, args: Args) -> Answer:
    topic, partition, before, after, epoch = args
    row = tables.relay[topic, partition]
    if (row["seq"], row["epoch"]) != (before, epoch):
        return "UPDATE 0", None
    changed = Row({**dict(row.items()), "seq": after})
    return "UPDATE 1", lambda: tables.relay.__setitem__((topic, partition), changed)


def _checkpoint(tables: Tables, args: Args) -> Answer:
    row = tables.checkpoints.get(tuple(args))
    return ([] if row is None else [row]), None


def _checkpoint_lock(_tables: Tables, args: Args) -> list[Key]:
    return [("checkpoint", tuple(args[:4]))]


def _first_checkpoint(tables: Tables, args: Args) -> Answer:
    place, beginning = tuple(args[:4]), Row(stream=args[4], seq=0)

    def effect() -> None:
        tables.checkpoints.setdefault(place, beginning)

    return f"INSERT 0 {int(place not in tables.checkpoints)}", effect


def _advance_checkpoint(tables: Tables, args: Args) -> Answer:
    place, (stream, seq, old_stream, old_seq) = tuple(args[:4]), args[4:]
    row = tables.checkpoints.get(place)
    if row is None or (row["stream"], row["seq"]) != (old_stream, old_seq):
        return "UPDATE 0", None
    moved = Row(stream=stream, seq=seq)
    return "UPDATE 1", lambda: tables.checkpoints.__setitem__(place, moved)


def _cursors(tables: Tables, args: Args) -> Answer:
    return [
        Row(partition=partition, next_offset=offset)
        for (cluster_id, topic, partition), offset in tables.cursors.items()
        if (cluster_id, topic) == tuple(args)
    ], None


RECORD_EFFECTS = "RECORD EFFECTS"
"""The simulated consumer's own table: what it made of each event, and the outcomes of commands that it sent."""


def _record_effects(tables: Tables, args: Args) -> Answer:
    partition, effects, outcomes = args

    def effect() -> None:
        tables.effects.setdefault(partition, []).extend(effects)
        for command, event in outcomes:
            tables.outcomes.setdefault(command, event)

    return "INSERT", effect


MOVE_CHECKPOINT = "MOVE CHECKPOINT"
"""What a careless consumer would do: no comparison with where the checkpoint is."""


def _move_checkpoint(tables: Tables, args: Args) -> Answer:
    consumer, topic, partition, stream, seq = args
    place, moved = (consumer, SOURCE, topic, partition), Row(stream=stream, seq=seq)
    return "UPDATE 1", lambda: tables.checkpoints.__setitem__(place, moved)


_STATEMENTS: tuple[tuple[str, Statement], ...] = (
    (APPEND, Statement("append", append_locks, append)),
    ("SELECT * FROM ledger_take_over", Statement("take_over", take_over_locks, take_over)),
    ("SELECT holder, url, beat FROM shards", Statement("lease", None, _lease)),
    ("UPDATE shards s SET beat", Statement("renew", _lease_lock, _renew)),
    ("SELECT v.invariant, v.partition, v.position FROM violations", Statement("halt", None, _halt)),
    ("UPDATE shards SET holder", Statement("give_up", _lease_lock, _give_up)),
    ("SELECT r.app, r.user_id, r.key, r.caller,", Statement("results", None, _by_keys("results"), plain=True)),
    ("SELECT r.app, r.user_id, r.command_type,", Statement("refs", None, _by_keys("refs"), plain=True)),
    ("SELECT app, user_id, asset, partition, version,", Statement("accounts", None, _by_keys("accounts"), plain=True)),
    ("SELECT id, app, user_id, asset, status, captured", Statement("hold_ids", None, _by_ids("holds"), plain=True)),
    (
        "SELECT id, app, asset, from_user, to_user, amount,",
        Statement("transfer_ids", None, _by_ids("transfers"), plain=True),
    ),
    ("SELECT object, app, user_id, asset, position,", Statement("objects", None, _objects, plain=True)),
    ("SELECT app, version, document, applied_at FROM configs", Statement("configs", None, _latest_configs)),
    ("(SELECT app, user_id, asset, due_at FROM accounts", Statement("due", None, _accounts_due)),
    ("SELECT DISTINCT partition FROM accounts WHERE due_at", Statement("resets_due", None, _resets_due)),
    ("SELECT id, user_id, asset FROM lots WHERE id >", Statement("lots_beginning", None, _lots_beginning)),
    ("SELECT key, body FROM results", Statement("resets_told", None, _resets_told)),
    ("SELECT type, time, payload, correlation_id FROM events", Statement("debit", None, _debit, plain=True)),
    ("SELECT EXISTS (SELECT FROM results", Statement("retention", None, _no)),
    ("SELECT EXISTS (SELECT FROM quotes", Statement("quotes_over", None, _no)),
    ("SELECT app, now FROM test_clocks", Statement("test_clocks", None, _none)),
    ("SELECT partition, position FROM heads", Statement("heads", None, _head_positions)),
    ("SELECT position FROM heads WHERE", Statement("head", None, _head_position)),
    ("SELECT position, app, user_id, type,", Statement("log", None, _log_page)),
    ("SELECT s.stream, coalesce(f.forked_at", Statement("streams", None, _streams)),
    ("\nINSERT INTO relay_checkpoints", Statement("relay_take_over", _relay_locks, _relay_take_over)),
    ("UPDATE relay_checkpoints", Statement("relay_advance", _relay_lock, _relay_advance)),
    ("SELECT stream, seq FROM consumer_checkpoints", Statement("checkpoint", None, _checkpoint)),
    ("INSERT INTO consumer_checkpoints", Statement("first_checkpoint", _checkpoint_lock, _first_checkpoint)),
    ("UPDATE consumer_checkpoints", Statement("advance_checkpoint", _checkpoint_lock, _advance_checkpoint)),
    ("SELECT partition, next_offset FROM command_cursors", Statement("cursors", None, _cursors)),
    ("SELECT id, message FROM dead_letters", Statement("asked_again", None, _none)),
    ("SELECT id FROM dead_letters", Statement("replays", None, _none)),
    ("SELECT source, count(*) AS open FROM dead_letters", Statement("open_dead_letters", None, _open_dead_letters)),
    ("SELECT state = 'active'", Statement("working", None, _working)),
    ("SELECT pg_terminate_backend", Statement("terminate", None, _terminate)),
    (MOVE_CHECKPOINT, Statement("move_checkpoint", _unlocked, _move_checkpoint)),
    (RECORD_EFFECTS, Statement("effects", _unlocked, _record_effects)),
)
_BY_PART = (
    (" FROM transfers WHERE (status", Statement("transfers_waiting", None, _transfers_waiting, plain=True)),
    ("JOIN lots USING", Statement("lots", None, _of_accounts("lots", lambda row: bool(row["live"])))),
    ("JOIN holds USING", Statement("holds", None, _of_accounts("holds", lambda row: bool(row["status"] == "open")))),
    (" FROM lots WHERE id = ANY", Statement("lot_ids", None, _by_ids("lots"))),
    (" FROM quotes WHERE id = ANY", Statement("quote_ids", None, _by_ids("quotes"))),
)
_known: dict[str, Statement] = {}


def statement_of(sql: str) -> Statement:
    """What a statement is; LookupError for one that the simulation does not know."""
    found = _known.get(sql)
    if found is None:
        found = next((statement for part, statement in _BY_PART if part in sql), None) or next(
            (statement for start, statement in _STATEMENTS if sql.startswith(start)), None
        )
        if found is None:
            raise LookupError(f"the simulated database does not know this statement: {sql}")
        if found.plain:
            found = replace(found, run=_selected(sql, found.run))
        _known[sql] = found
    return found
