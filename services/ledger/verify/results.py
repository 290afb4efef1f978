"""The outcomes kept under idempotency keys beside the events that they are of: a repeat must tell what happened."""

from __future__ import annotations

from typing import Any

import orjson
from asyncpg import Record

from libs.service.db import Connection
from services.ledger.store.log_reads import result_rows, unkept_outcomes
from services.ledger.verify.checks import UNFOLDABLE, Findings

_BALANCES = ("settled", "held", "owed")


async def check_results(connection: Connection, partition: int, found: Findings) -> None:
    """Check the outcomes of one partition, and that none is missing.

    What a refusal says besides its status is in no event, nor is the fingerprint of a command.
    """
    async for row in result_rows(connection, partition):
        try:
            fault = result_fault(row)
        except UNFOLDABLE as error:
            fault = f"it cannot be read beside its event: {error!r}"
        if fault is not None:
            found.add("I6", f"results: {_name(row)}: {fault}", row["position"])
    async for row in unkept_outcomes(connection, partition):
        found.add("I6", f"results: {_name(row)}: the outcome of {row['event_id']} is missing", row["position"])


def result_fault(row: Record) -> str | None:
    """What is wrong with an outcome, a row of `result_rows`; None if nothing is. Raises one of `UNFOLDABLE`."""
    body = orjson.loads(row["body"])
    if row["position"] and row["event_id"] is None:
        return "it is of a position that the log does not have"
    status = body.get("status")
    if row["status"] >= 400 or isinstance(status, int):
        return None if status == row["status"] else f"its status is {row['status']}, its body says {status}"
    if "position" not in body:
        return None
    place = (row["partition"], row["position"])
    told = (body["partition"], body["position"])
    if (row["event_app"], row["event_user"], row["event_key"]) != (row["app"], row["user_id"], row["key"]):
        # It changed nothing, or repeats what a unique_ref first did: then its own position is when that was said.
        return None if told <= place else f"its body is of position {told[1]}"
    return f"its body is of position {told[1]}" if told != place else _own_fault(row, body)


def _own_fault(row: Record, body: dict[str, Any]) -> str | None:
    """What is wrong with what an outcome says of the event at its position."""
    after = orjson.loads(row["event_payload"]).get("after", {})
    for name in _BALANCES:
        if name in after and body.get(name) != after[name]:
            return f"its body says {name} {body.get(name)}, {row['event_id']} says {after[name]}"
    if row["event_object"] is not None and row["event_object"] not in body.values():
        return f"its body does not name {row['event_object']}"
    return None


def _name(row: Record) -> str:
    return f"{row['app']}/{row['user_id']}/{row['key']}"
