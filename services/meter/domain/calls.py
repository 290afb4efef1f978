"""A call as the journal knows it, and how its records make it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

Usage = Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Call:
    """One paid call. `input` and `output` are tokens as counted so far, `usage` what was used in the end.

    `hold` is None until it is known that there is one.
    """

    id: str
    app: str
    user: str
    model: str
    input: int
    hold: str | None = None
    output: int = 0
    usage: Mapping[str, int] | None = None

    @property
    def due(self) -> Usage | None:
        """What is to be paid for: the usage, else the count so far; None when nothing came back."""
        if self.usage is not None:
            return self.usage
        return {"input": self.input, "output": self.output} if self.output else None


Record = dict[str, Any]
"""A line of the journal: the call's `id`, and what became of it."""


def begun(call: Call) -> Record:
    """The record that begins a call, or stands for all of one that is open."""
    return {"call": {name: value for name, value in asdict(call).items() if value not in (None, 0)}}


def changed(call_id: str, **fields: Any) -> Record:
    """A record of what is new about a call."""
    return {"id": call_id, **fields}


def settled(call_id: str) -> Record:
    """The record that ends a call."""
    return {"id": call_id, "settled": True}


def apply(calls: dict[str, Call], record: Record) -> None:
    """Fold one record into the open calls."""
    if "call" in record:
        call = Call(**{"input": 0, **record["call"]})
        calls[call.id] = call
        return
    call_id = record["id"]
    if record.get("settled"):
        calls.pop(call_id, None)
    elif call_id in calls:
        calls[call_id] = replace(calls[call_id], **{name: value for name, value in record.items() if name != "id"})


def fold(records: Iterable[Record]) -> dict[str, Call]:
    """The calls that are open after these records."""
    calls: dict[str, Call] = {}
    for record in records:
        apply(calls, record)
    return calls
