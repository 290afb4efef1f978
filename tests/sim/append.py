"""What `ledger_append` and `ledger_take_over` do, on the simulated tables."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import orjson

from libs.service.clock import to_datetime
from tests.sim.tables import Row, Tables, rows_of

Key = tuple[str, Any]
Effect = Callable[[], None]
_TIMES = (
    "granted_at",
    "effective_at",
    "expires_at",
    "created_at",
    "limit_at",
    "resolved_at",
    "applied_at",
    "made_at",
    "valid_until",
    "at",
)
_REF = ("app", "user_id", "command_type", "ref")
_JSON = ("card", "cost_basis", "origin", "slices", "usage")


def _fencing(sqlstate: str, message: str) -> asyncpg.PostgresError:
    error = asyncpg.PostgresError(message)
    vars(error)["sqlstate"] = sqlstate
    return error


def _not_unique(table: str, detail: str) -> asyncpg.UniqueViolationError:
    error = asyncpg.UniqueViolationError(f"{table}: {detail}")
    vars(error).update(constraint_name=f"{table}_pkey", detail=detail)
    return error


def append_locks(_tables: Tables, args: Sequence[Any]) -> list[Key]:
    """The heads that are appended to, in order."""
    return [("head", partition) for partition in sorted(int(text) for text in args[0][0].split("\x1f"))]


def check_epoch(tables: Tables, heads: list[tuple[Any, ...]]) -> None:
    """TS001 if another writer has taken one of the partitions over."""
    if any(tables.heads[int(head[0])].epoch != int(head[1]) for head in heads):
        raise _fencing("TS001", "another writer has taken over")


def check_positions(tables: Tables, heads: list[tuple[Any, ...]]) -> None:
    """TS002 if a head is not where the writer believes it."""
    if any(tables.heads[int(head[0])].position != int(head[2]) for head in heads):
        raise _fencing("TS002", "a head is not where it was expected")


def append(tables: Tables, args: Sequence[Any]) -> tuple[str, Effect]:
    """The whole batch, or an error of PostgreSQL's."""
    heads = rows_of(args[0])
    check_epoch(tables, heads)
    check_positions(tables, heads)
    events = [_event(row) for row in rows_of(args[1])]
    results = [_result(row) for row in rows_of(args[2])]
    accounts = [_account(row) for row in rows_of(args[3])]
    lots = rows_of(args[4])
    rest = {} if args[5] is None else _rest(orjson.loads(args[5]))
    _check(tables, events, results, accounts, rest)

    def effect() -> None:
        for partition, _, _, position, digest, time_us in heads:
            head = tables.heads[int(partition)]
            head.position, head.hash, head.time_us = int(position), bytes.fromhex(digest), int(time_us)
        for event in events:
            tables.events[event["partition"]].append(event)
            if event["account_version"]:
                tables.versions.add(_version(event))
            if event["object"] is not None:
                tables.by_object.setdefault(event["object"], []).append(event)
        for result in results:
            tables.results[result["app"], result["user_id"], result["key"], result["caller"]] = result
        for account in accounts:
            tables.accounts[account["app"], account["user_id"], account["asset"]] = account
        for lot in lots:
            _update_lot(tables, lot)
        _append_rest(tables, rest)

    return "SELECT 1", effect


def _version(event: Row) -> tuple[str, str, str, int]:
    return (event["app"], event["user_id"], event["asset"], event["account_version"])


def _check(tables: Tables, events: list[Row], results: list[Row], accounts: list[Row], rest: dict[str, Any]) -> None:
    """The constraints of the tables."""
    new: tuple[tuple[str, list[Any], Container[Any]], ...] = (
        ("events", [_version(event) for event in events if event["account_version"]], tables.versions),
        ("results", [_of(row, "app", "user_id", "key", "caller") for row in results], tables.results),
        ("lots", [row["id"] for row in rest.get("lots", ())], tables.lots),
        ("transfers", [row["id"] for row in rest.get("transfers", ())], tables.transfers),
        ("configs", [_of(row, "app", "version") for row in rest.get("configs", ())], tables.configs),
        ("unique_refs", [_of(row, *_REF) for row in rest.get("unique_refs", ())], tables.refs),
    )
    for table, keys, known in new:
        for key in keys:
            if key in known:
                raise _not_unique(table, f"{key}")
        if len(set(keys)) != len(keys):
            raise _not_unique(table, "twice in one batch")
    for account in accounts:
        if min(account["held"], account["owed"], account["overdraft_used"]) < 0:
            raise asyncpg.CheckViolationError(f"accounts: {account}")


def _of(row: Row, *names: str) -> tuple[Any, ...]:
    return tuple(row[name] for name in names)


def _event(row: tuple[Any, ...]) -> Row:
    return Row(
        partition=int(row[0]),
        position=int(row[1]),
        epoch=int(row[2]),
        app=row[3],
        user_id=row[4],
        asset=row[5] or "",
        account_version=int(row[6]),
        type=row[7],
        schema_version=1,
        event_id=row[8],
        transaction_id=row[9],
        command_id=row[10],
        correlation_id=row[11],
        causation_id=row[12],
        actor=row[13],
        idempotency_key=row[14] or "",
        time=to_datetime(int(row[15])),
        payload=row[16].encode(),
        hash=bytes.fromhex(row[17]),
        object=row[18],
        reference=row[19],
        member=row[20],
        traceparent=row[21],
    )


def _result(row: tuple[Any, ...]) -> Row:
    return Row(
        app=row[0],
        caller=row[1],
        user_id=row[2] or "",
        key=row[3],
        fingerprint=bytes.fromhex(row[4]),
        command_type=row[5],
        command_id=row[6] or "",
        status=int(row[7]),
        body=row[8].encode(),
        partition=int(row[9]),
        position=int(row[10]),
    )


def _account(row: tuple[Any, ...]) -> Row:
    return Row(
        app=row[0],
        user_id=row[1],
        asset=row[2],
        partition=int(row[3]),
        version=int(row[4]),
        changed_at=to_datetime(int(row[5])),
        settled=int(row[6]),
        held=int(row[7]),
        owed=int(row[8]),
        overdraft_used=int(row[9]),
        granted_total=int(row[10]),
        spent_total=int(row[11]),
        due_at=None if row[12] is None else to_datetime(int(row[12])),
        facts=row[13],
    )


def _update_lot(tables: Tables, row: tuple[Any, ...]) -> None:
    known = tables.lots.get(row[0])
    if known is None:
        return
    changed = Row(dict(known.items()))
    changed.update(
        remaining=int(row[1]),
        pinned=int(row[2]),
        phase=int(row[3]),
        revoked=int(row[4]),
        broken=int(row[5]),
        revoking=int(row[6]),
        revoke_policy=row[7],
        live=row[8] == "True",
    )
    tables.lots[row[0]] = changed


def _rest(rest: dict[str, list[dict[str, Any]]]) -> dict[str, list[Row]]:
    """The JSON of what a batch has few of, with times as times and JSON as its text."""
    for rows in rest.values():
        for row in rows:
            for name in _TIMES:
                if row.get(name) is not None:
                    row[name] = datetime.fromisoformat(row[name])
            for name in _JSON:
                if row.get(name) is not None:
                    row[name] = orjson.dumps(row[name]).decode()
    return {table: [Row(row) for row in rows] for table, rows in rest.items()}


def _append_rest(tables: Tables, rest: dict[str, list[Row]]) -> None:
    for row in rest.get("lots", ()):
        tables.lots[row["id"]] = row
    for row in rest.get("holds", ()):
        known = tables.holds.get(row["id"])
        if known is not None:
            changed = ("amount", "expires_at", "slices", "captured", "status", "resolved_at")
            row = Row({**dict(known.items()), **{name: row[name] for name in changed}})  # noqa: PLW2901
        tables.holds[row["id"]] = row
    for row in rest.get("transfers", ()):
        tables.transfers[row["id"]] = Row(
            {**dict(row.items()), "status": "pending", "refusal": None, "settled_at": None}
        )
    for row in rest.get("settled_transfers", ()):
        transfer = tables.transfers.get(row["id"])
        if transfer is not None:
            refusal = row["refusal"] if row["refusal"] is not None else transfer["refusal"]
            changed_to = {"status": row["status"], "refusal": refusal, "settled_at": row["at"]}
            tables.transfers[row["id"]] = Row({**dict(transfer.items()), **changed_to})
    for row in rest.get("configs", ()):
        tables.configs[row["app"], row["version"]] = row
    for row in rest.get("unique_refs", ()):
        stored = {"fingerprint": bytes.fromhex(row["fingerprint"]), "body": row["body"].encode()}
        key = (row["app"], row["user_id"], row["command_type"], row["ref"])
        tables.refs[key] = Row({**dict(row.items()), **stored})
    for row in rest.get("quotes", ()):
        tables.quotes[row["id"]] = row
    for row in rest.get("dead_letters", ()):
        place = tuple(row[name] for name in ("consumer", "cluster_id", "topic", "partition", "kafka_offset"))
        tables.dead_letters.setdefault(place, row)
    for row in rest.get("cursors", ()):
        tables.cursors[row["cluster_id"], row["topic"], row["partition"]] = row["next_offset"]


def take_over_locks(tables: Tables, args: Sequence[Any]) -> list[Key]:
    """The lease, then the shard's heads, in order."""
    heads = sorted(head.partition for head in tables.heads.values() if head.shard == args[0])
    return [("lease", args[0]), *[("head", partition) for partition in heads]]


def take_over(tables: Tables, args: Sequence[Any]) -> tuple[list[Row], Effect]:
    """Every epoch of the shard raised, and the heads as they are then."""
    shard, holder, url = args
    heads = [head for head in tables.heads.values() if head.shard == shard]
    known = tables.shards.get(shard)
    beat = 0 if known is None else known["beat"] + 1
    rows = [
        Row(
            partition=head.partition,
            position=head.position,
            hash=head.hash,
            epoch=head.epoch + 1,
            time=to_datetime(head.time_us),
        )
        for head in heads
    ]

    def effect() -> None:
        tables.shards[shard] = Row(holder=holder, url=url, beat=beat)
        for head in heads:
            head.epoch += 1

    return rows, effect
