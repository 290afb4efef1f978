"""Rows of the projections beside what the verifier's file says that they must be, as of one moment."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from libs.service.db import Connection
from services.ledger.store import projected
from services.ledger.store.projected import Key
from services.ledger.store.violations import Found
from services.ledger.verify.fold import AccountKey
from services.ledger.verify.state import SEPARATOR, State, canonical, key_text
from services.ledger.verify.tables import plain

Row = dict[str, Any]
_SETTLING = ("status", "refusal", "settled_at")


def split_key(kind: str, key: str) -> Key:
    """The columns of a key."""
    parts = key.split(SEPARATOR)
    return (parts[0], int(parts[1])) if kind == "configs" else tuple(parts)


class Comparison:
    """Compares, and collects what it finds. The log must have been checked up to the heads of the same moment."""

    def __init__(self, connection: Connection, state: State, broken: set[AccountKey]) -> None:
        self.found: list[Found] = []
        self._connection = connection
        self._state = state
        self._broken = broken

    async def compare(self, kind: str, keys: Sequence[str]) -> None:
        """The rows with these keys."""
        actual = {}
        for record in await projected.rows_of(self._connection, kind, [split_key(kind, key) for key in keys]):
            row = plain(record)
            actual[key_text(*(row[name] for name, _ in projected.KEYS[kind]))] = row
        expected = self._expected(kind, keys, actual)
        for key in keys:
            self._compare(kind, key, expected.get(key), actual.get(key))

    async def find_strange(self, kind: str, keys: Sequence[Key]) -> None:
        """Whether there are rows among these that the log knows nothing of."""
        texts = [key_text(*key) for key in keys]
        strange = set(texts) - self._state.bodies(kind, texts).keys()
        if kind == "transfers":
            strange -= self._state.bodies("credits", strange).keys()
        await self.compare(kind, sorted(strange))

    def _expected(self, kind: str, keys: Iterable[str], actual: dict[str, Row]) -> dict[str, Row]:
        rows = {key: orjson.loads(body) for key, body in self._state.bodies(kind, keys).items()}
        if kind == "transfers":
            self._settle(rows, keys, actual)
        return rows

    def _settle(self, rows: dict[str, Row], keys: Iterable[str], actual: dict[str, Row]) -> None:
        """What became of transfers: their return is told by the one partition, their credit by the other."""
        credits_ = {key: orjson.loads(body) for key, body in self._state.bodies("credits", keys).items()}
        for key, credit in credits_.items():
            rows[key] = {**rows.get(key, {}), **credit, "status": "completed"}
        for key, told in actual.items():
            if told["status"] == "refused" and rows.get(key, {}).get("status") == "pending":
                # A refusal is not in the log; what follows from it is.
                rows[key].update(orjson.loads(canonical({name: told[name] for name in _SETTLING})))

    def _compare(self, kind: str, key: str, expected: Row | None, actual: Row | None) -> None:
        if expected is None and actual is None:
            return
        row = actual or expected or {}
        if "user_id" in row and "asset" in row and (row["app"], row["user_id"], row["asset"]) in self._broken:
            return
        if expected is None:
            self._say(kind, key, row, "is not in the log")
        elif actual is None:
            self._say(kind, key, row, "is missing")
        else:
            told = orjson.loads(canonical(actual))
            differing = [name for name in sorted(expected) if told[name] != expected[name]]
            if differing:
                what = "; ".join(f"{name} is {told[name]}, the log says {expected[name]}" for name in differing)
                self._say(kind, key, row, what)

    def _say(self, kind: str, key: str, row: Row, what: str) -> None:
        partition = row.get("partition", row.get("from_partition", row.get("to_partition")))
        name = key.replace(SEPARATOR, "/")
        self.found.append(Found("I5", partition, None, f"{kind}: {name}: {what}"))
