"""The projected tables beside the fold of their partition: every row that differs, is missing or is too many."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from asyncpg import Record

from libs.events.partition import partition_of
from libs.service.clock import to_datetime
from libs.service.db import Connection
from services.ledger.domain.state import Account, Lot
from services.ledger.store.log_reads import table_rows
from services.ledger.store.rows import facts_of, hold_row, lot_row, moment
from services.ledger.verify.checks import Findings
from services.ledger.verify.fold import AccountKey, Fold

Row = dict[str, Any]
_JSON = frozenset({"card", "cost_basis", "origin", "slices"})
_TOLD_ELSEWHERE = {"completed": ("status", "settled_at"), "refused": ("status", "refusal", "settled_at")}
"""What the sender's partition cannot say of a transfer: the other one tells of its credit, nobody of its refusal."""


def account_row(account: Account) -> Row:
    """An account as its row, by column."""
    profile = account.profile
    return {
        "app": profile.app,
        "user_id": profile.user,
        "asset": profile.asset,
        "partition": profile.partition,
        "version": account.version,
        "changed_at": to_datetime(account.time_us),
        "settled": account.settled,
        "held": account.held,
        "owed": account.owed,
        "overdraft_used": account.overdraft_used,
        "granted_total": account.granted_total,
        "spent_total": account.spent_total,
        "due_at": moment(account.due_at),
        "facts": facts_of(account),
    }


def full_lot_row(account: Account, lot: Lot) -> Row:
    """A lot as its row, by column."""
    return {**lot_row(account, lot), "scope": list(lot.terms.scope)}


def account_rows(fold: Fold) -> Iterator[Row]:
    """The rows that table `accounts` must have."""
    return (account_row(account) for account in fold.accounts.values())


def lot_rows(fold: Fold, keys: Iterable[AccountKey] | None = None) -> Iterator[Row]:
    """The rows that table `lots` must have, of these accounts or of all."""
    for key in fold.accounts if keys is None else keys:
        account = fold.accounts[key]
        for lot in fold.lots(key):
            yield full_lot_row(account, lot)


def hold_rows(fold: Fold, keys: Iterable[AccountKey] | None = None) -> Iterator[Row]:
    """The rows that table `holds` must have, of these accounts or of all."""
    for key in fold.accounts if keys is None else keys:
        account = fold.accounts[key]
        for hold in account.holds.values():
            yield hold_row(account, hold)
        for ended in fold.ended.get(key, {}).values():
            yield hold_row(account, ended.hold, ended.status, ended.resolved_at)


def transfer_rows(fold: Fold, partitions: int) -> Iterator[Row]:
    """The rows of transfers that began in this partition. Those that have not come back are given as `pending`."""
    for transfer, sent in fold.sent.items():
        refusal, settled_at = sent.returned or (None, None)
        yield {
            "id": transfer,
            "app": sent.app,
            "asset": sent.asset,
            "from_user": sent.from_user,
            "to_user": sent.to_user,
            "from_partition": fold.partition,
            "to_partition": partition_of(sent.app, sent.to_user, partitions),
            "amount": sent.amount,
            "status": "pending" if sent.returned is None else "returned",
            "refusal": refusal,
            "created_at": to_datetime(sent.created_at),
            "settled_at": moment(settled_at),
        }


def config_rows(fold: Fold) -> Iterator[Row]:
    """The rows that table `configs` must have."""
    for (app, version), applied in fold.configs.items():
        yield {
            "app": app,
            "version": version,
            "document": applied.document,
            "applied_at": to_datetime(applied.applied_at),
            "partition": fold.partition,
            "position": applied.position,
        }


@dataclass(slots=True)
class TableCheck:
    """Compares the tables of one partition, in the snapshot that its log was read in."""

    connection: Connection
    fold: Fold
    found: Findings
    broken: set[AccountKey]
    partitions: int
    in_flight: Counter[tuple[str, str]] = field(default_factory=Counter)
    """What the rows of transfers that began here say is on its way, by (app, asset)."""

    async def run(self) -> None:
        """Compare everything."""
        fold = self.fold
        await self._compare("accounts", self._account, account_rows(fold))
        await self._compare("lots", self._lot, lot_rows(fold))
        await self._compare("holds", self._hold, hold_rows(fold))
        configs = {(row["app"], row["version"]): row for row in config_rows(fold)}
        await self._compare("configs", lambda row: configs.get((row["app"], row["version"])), configs.values())
        await self._compare_sent()
        await self._compare_received()

    def _account(self, row: Row) -> Row | None:
        account = self.fold.accounts.get(_owner(row))
        return None if account is None else account_row(account)

    def _lot(self, row: Row) -> Row | None:
        account = self.fold.accounts.get(_owner(row))
        if account is None:
            return None
        lot = account.lots.get(row["id"]) or self.fold.dead.get(_owner(row), {}).get(row["id"])
        return None if lot is None else full_lot_row(account, lot)

    def _hold(self, row: Row) -> Row | None:
        account = self.fold.accounts.get(_owner(row))
        if account is None:
            return None
        if row["id"] in account.holds:
            return hold_row(account, account.holds[row["id"]])
        ended = self.fold.ended.get(_owner(row), {}).get(row["id"])
        return None if ended is None else hold_row(account, ended.hold, ended.status, ended.resolved_at)

    def _rows(self, table: str, column: str = "partition") -> AsyncIterator[Record]:
        return table_rows(self.connection, table, f"{column} = $1", self.fold.partition)

    async def _compare(self, table: str, find: Callable[[Row], Row | None], expected: Iterable[Row]) -> None:
        """`find` gives the row that one of the table must be; `expected` gives all that there must be."""
        seen: set[str] = set()
        async for record in self._rows(table):
            row = plain(record)
            told = find(row)
            self._compare_row(table, row, told)
            if told is not None:
                seen.add(_name(table, row))
        for row in expected:
            if _name(table, row) not in seen and not self._skipped(row):
                self._say(table, row, "is missing")

    def _skipped(self, row: Row) -> bool:
        return "user_id" in row and _owner(row) in self.broken

    def _compare_row(self, table: str, row: Row, told: Row | None) -> None:
        if self._skipped(row):
            return
        if told is None:
            self._say(table, row, "is not in the log")
        elif row != told:
            differing = (name for name in told if row[name] != told[name])
            self._say(table, row, "; ".join(f"{name} is {row[name]}, the log says {told[name]}" for name in differing))

    def _say(self, table: str, row: Row, what: str) -> None:
        self.found.add("I5", f"{table}: {_name(table, row)}: {what}")

    async def _compare_sent(self) -> None:
        """Transfers that began here: all that their beginning says, and whether they came back."""
        expected = {row["id"]: row for row in transfer_rows(self.fold, self.partitions)}
        async for record in self._rows("transfers", "from_partition"):
            row = plain(record)
            told = expected.pop(row["id"], None)
            if row["status"] in ("pending", "refused"):
                self.in_flight[row["app"], row["asset"]] += row["amount"]
            if told is not None and told["status"] == "pending":
                told |= {name: row[name] for name in _TOLD_ELSEWHERE.get(row["status"], ())}
            self._compare_row("transfers", row, told)
        for row in expected.values():
            self._say("transfers", row, "is missing")

    async def _compare_received(self) -> None:
        """Transfers that end here: completed if and only if their credit is in the log."""
        expected = dict(self.fold.received)
        async for record in self._rows("transfers", "to_partition"):
            row = plain(record)
            credit = expected.pop(row["id"], None)
            if credit is None:
                if row["status"] == "completed":
                    self._say("transfers", row, "is completed, but its credit is not in the log")
                continue
            told = {
                **row,
                "to_user": credit.user,
                "amount": credit.amount,
                "status": "completed",
                "settled_at": to_datetime(credit.at),
            }
            self._compare_row("transfers", row, told)
        for transfer in expected:
            self.found.add("I11", f"transfers: {transfer}: was credited, but is no transfer to this partition")


def _owner(row: Row) -> AccountKey:
    return (row["app"], row["user_id"], row["asset"])


def _name(table: str, row: Row) -> str:
    if table == "accounts":
        return "/".join(_owner(row))
    return f"{row['app']}, version {row['version']}" if table == "configs" else str(row["id"])


def plain(record: Record) -> Row:
    """A row with its JSON read."""
    row = dict(record)
    for name in _JSON & row.keys():
        if row[name] is not None:
            row[name] = orjson.loads(row[name])
    return row
