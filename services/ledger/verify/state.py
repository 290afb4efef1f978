"""What the verifier has folded so far: a file of its own, outside the database that it judges.

It holds every row that the projections must have, and up to where each partition of the log has been checked. So a
restart goes on where it was, memory does not grow with the number of accounts, nothing is written to the database of
the writer, and whoever changes that one has not changed this one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson
from asyncpg import Record

from services.ledger.domain.state import Account, Lot
from services.ledger.store.rows import account_of, hold_of, lot_of
from services.ledger.verify.checks import Place
from services.ledger.verify.fold import AccountKey

SEPARATOR = "\x1f"
_VERSION = 2
_SCHEMA = """
CREATE TABLE places (
    partition INTEGER PRIMARY KEY, position INTEGER, hash BLOB, epoch INTEGER, times TEXT, clearing TEXT
);
CREATE TABLE kept (
    kind TEXT, key TEXT, owner TEXT, active INTEGER, body BLOB, PRIMARY KEY (kind, key)
) WITHOUT ROWID;
CREATE INDEX kept_active ON kept (owner) WHERE active;
CREATE TABLE broken (owner TEXT PRIMARY KEY);
CREATE TABLE identity (log TEXT);
"""
_TIMES = frozenset(
    {"changed_at", "due_at", "granted_at", "effective_at", "expires_at", "created_at", "limit_at", "resolved_at"}
)
_JSON = frozenset({"card", "cost_basis", "origin", "slices"})


class StateInUseError(Exception):
    """Another verifier works with this file."""


class Kept(NamedTuple):
    """A row that a projection must have. `owner` is its account (:func:`key_text`), `active` one that folding needs."""

    kind: str
    key: str
    owner: str
    active: bool
    body: bytes


def key_text(*parts: str | int) -> str:
    """A key of several columns as one text."""
    return SEPARATOR.join(map(str, parts))


def canonical(row: dict[str, Any]) -> bytes:
    """A row as bytes: equal rows are equal bytes."""
    return orjson.dumps(row, option=orjson.OPT_SORT_KEYS)


def _revived(body: bytes) -> Record:
    """A kept row as the functions of `store.rows` take it from the database."""
    row: dict[str, Any] = orjson.loads(body)
    for name, value in row.items():
        if value is not None and name in _TIMES:
            row[name] = datetime.fromisoformat(value)
        elif value is not None and name in _JSON:
            row[name] = orjson.dumps(value)
    return cast("Record", row)


class _OtherFormatError(Exception):
    """The file was written by another release."""


def _prepare(database: sqlite3.Connection) -> None:
    """Make the tables of a new file."""
    (version,) = database.execute("PRAGMA user_version").fetchone()
    if version not in (0, _VERSION):
        raise _OtherFormatError
    if version == 0:
        for statement in _SCHEMA.split(";"):
            database.execute(statement)
        database.execute(f"PRAGMA user_version = {_VERSION}")


class State:
    """The file. One verifier at a time; nothing is durable before :meth:`commit`.

    A file that is no longer readable, or of another format, is begun anew: the log tells everything.
    """

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._file = file
        self._database = self._open()

    def _open(self) -> sqlite3.Connection:
        try:
            return self._connect()
        except sqlite3.OperationalError as error:
            if "locked" in str(error):
                raise StateInUseError(f"another verifier works with {self._file}") from error
            raise
        except (sqlite3.DatabaseError, _OtherFormatError):
            self._remove()
            return self._connect()

    def _connect(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False, timeout=0.5)
        try:
            database.execute("PRAGMA locking_mode = EXCLUSIVE")
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = NORMAL")
            database.execute("BEGIN IMMEDIATE")
            _prepare(database)
        except BaseException:
            database.close()
            raise
        return database

    def _remove(self) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            with suppress(FileNotFoundError):
                self._file.with_name(self._file.name + suffix).unlink()

    def close(self) -> None:
        """Let go of the file; what was not committed is forgotten."""
        self._database.close()

    def commit(self) -> None:
        """Make durable what was done since the last time."""
        self._database.execute("COMMIT")
        self._database.execute("BEGIN IMMEDIATE")

    def rollback(self) -> None:
        """Forget what was done since the last commit."""
        self._database.execute("ROLLBACK")
        self._database.execute("BEGIN IMMEDIATE")

    def identify(self, log: str) -> bool:
        """Whether what is kept is of this log, which `log` names; if not, everything is forgotten."""
        found = self._database.execute("SELECT log FROM identity").fetchone()
        if found == (log,):
            return True
        for table in ("places", "kept", "broken", "identity"):
            self._database.execute(f"DELETE FROM {table}")
        self._database.execute("INSERT INTO identity VALUES (?)", (log,))
        self.commit()
        return False

    # Places

    def place(self, partition: int) -> tuple[Place, dict[tuple[str, str], int]]:
        """Up to where a partition is checked, and what lies on its clearing account, by (app, asset)."""
        row = self._database.execute(
            "SELECT position, hash, epoch, times, clearing FROM places WHERE partition = ?", (partition,)
        ).fetchone()
        if row is None:
            return Place(), {}
        position, digest, epoch, times, clearing = row
        apps = {app: datetime.fromisoformat(time) for app, time in orjson.loads(times).items()}
        return Place(position, digest, epoch, apps), {(app, asset): n for app, asset, n in orjson.loads(clearing)}

    def put_place(self, partition: int, place: Place, clearing: dict[tuple[str, str], int]) -> None:
        """Keep it."""
        booked = [[*key, amount] for key, amount in clearing.items() if amount]
        self._database.execute(
            "INSERT OR REPLACE INTO places VALUES (?, ?, ?, ?, ?, ?)",
            (partition, place.position, place.hash, place.epoch, orjson.dumps(place.times), orjson.dumps(booked)),
        )

    def broken(self) -> set[AccountKey]:
        """Accounts that could no longer be folded at some point."""
        owners = self._database.execute("SELECT owner FROM broken").fetchall()
        return {cast("AccountKey", tuple(owner.split(SEPARATOR))) for (owner,) in owners}

    def put_broken(self, keys: Iterable[AccountKey]) -> None:
        """Keep them."""
        self._database.executemany("INSERT OR IGNORE INTO broken VALUES (?)", [(key_text(*key),) for key in keys])

    # Rows

    def put(self, rows: Iterable[Kept]) -> None:
        """Keep these rows, each in the place of what it was."""
        self._database.executemany("INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?)", rows)

    def bodies(self, kind: str, keys: Iterable[str]) -> dict[str, bytes]:
        """The rows with these keys, as :func:`canonical`; those that must not be are left out."""
        found = {}
        for key in keys:
            row = self._database.execute("SELECT body FROM kept WHERE kind = ? AND key = ?", (kind, key)).fetchone()
            if row is not None:
                found[key] = row[0]
        return found

    def page(self, kind: str, after: str, limit: int) -> list[str]:
        """Keys behind `after`, in their order."""
        rows = self._database.execute(
            "SELECT key FROM kept WHERE kind = ? AND key > ? ORDER BY key LIMIT ?", (kind, after, limit)
        )
        return [key for (key,) in rows]

    def configs(self) -> list[tuple[str, int]]:
        """(app, version) of every configuration."""
        rows = self._database.execute("SELECT key FROM kept WHERE kind = 'configs'").fetchall()
        parts = (key.split(SEPARATOR) for (key,) in rows)
        return [(app, int(version)) for app, version in parts]

    def account(self, key: AccountKey) -> Account | None:
        """An account with its living lots and open holds; None before its first event."""
        owner = key_text(*key)
        rows: dict[str, list[Record]] = {"accounts": [], "lots": [], "holds": []}
        for kind, body in self._database.execute("SELECT kind, body FROM kept WHERE owner = ? AND active", (owner,)):
            rows[kind].append(_revived(body))
        if not rows["accounts"]:
            return None
        account = account_of(rows["accounts"][0])
        lots = sorted((lot_of(row) for row in rows["lots"]), key=lambda lot: lot.terms.burn_key)
        account.lots = {lot.terms.id: lot for lot in lots}
        account.holds = {row["id"]: hold_of(row) for row in sorted(rows["holds"], key=lambda row: str(row["id"]))}
        return account

    def lots(self, key: AccountKey, ids: Sequence[str]) -> dict[str, Lot]:
        """These lots of an account, dead or not."""
        found = {}
        for lot in ids:
            row = self._database.execute(
                "SELECT body FROM kept WHERE kind = 'lots' AND key = ? AND owner = ?", (lot, key_text(*key))
            ).fetchone()
            if row is not None:
                found[lot] = lot_of(_revived(row[0]))
        return found
