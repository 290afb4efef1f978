"""Appending a batch: one call of `ledger_append`, which is one transaction; and what can go wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import asyncpg
import orjson

from libs.events.failpoints import reach, reach_sent
from libs.service.db import Connection
from services.ledger.domain.state import Account, Lot
from services.ledger.store.columns import columns
from services.ledger.store.heads import Head
from services.ledger.store.rows import facts_of

APPEND = "SELECT ledger_append($1, $2, $3, $4, $5, $6)"
KEYS = "results_pkey"
"""What keeps idempotency keys unique."""


class FencedError(Exception):
    """Another writer has taken a partition over; this one must stop."""


class RefusedError(Exception):
    """The database refused the batch and nothing of it was written.

    `read_only`: it takes no writes at all. `repeat`: an outcome is stored under one of the batch's keys already.
    """

    def __init__(self, cause: Exception, *, read_only: bool = False, repeat: bool = False) -> None:
        super().__init__(str(cause))
        self.read_only = read_only
        self.repeat = repeat


class AmbiguousError(Exception):
    """The connection was lost before the answer: the batch may have been committed or not."""


@dataclass(slots=True)
class Rows:
    """Everything that one batch writes; rows as tuples in the order of the function's parameters."""

    heads: list[tuple[Head, Head]] = field(default_factory=list)
    events: list[tuple[Any, ...]] = field(default_factory=list)
    results: list[tuple[Any, ...]] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    lots: list[Lot] = field(default_factory=list)
    rest: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def add(self, table: str, row: dict[str, Any]) -> None:
        """A row of a table that a batch has few of."""
        self.rest.setdefault(table, []).append(row)

    def take_over(self, upper: Rows) -> None:
        """What outcomes of single commands were added on top of these rows is added to them."""
        self.results += upper.results
        for table, rows in upper.rest.items():
            self.rest.setdefault(table, []).extend(rows)


def _account_row(account: Account) -> tuple[Any, ...]:
    profile = account.profile
    return (
        profile.app,
        profile.user,
        profile.asset,
        profile.partition,
        account.version,
        account.time_us,
        account.settled,
        account.held,
        account.owed,
        account.overdraft_used,
        account.granted_total,
        account.spent_total,
        account.due_at,
        facts_of(account),
    )


def _lot_row(lot: Lot) -> tuple[Any, ...]:
    return (
        lot.terms.id,
        lot.remaining,
        lot.pinned,
        int(lot.phase),
        lot.revoked,
        lot.broken,
        lot.revoking,
        lot.revoke_policy,
        not lot.dead,
    )


def _head_row(before: Head, after: Head) -> tuple[Any, ...]:
    return (before.partition, before.epoch, before.position, after.position, after.hash.hex(), after.time_us)


def parameters(rows: Rows) -> list[Any]:
    """The arguments of :data:`APPEND`."""
    return [
        columns([_head_row(*pair) for pair in rows.heads]),
        columns(rows.events),
        columns(rows.results),
        columns([_account_row(account) for account in rows.accounts]),
        columns([_lot_row(lot) for lot in rows.lots]),
        orjson.dumps(rows.rest).decode() if rows.rest else None,
    ]


_READ_ONLY = (
    asyncpg.ReadOnlySQLTransactionError,
    asyncpg.DiskFullError,
    asyncpg.InsufficientResourcesError,
    # Errors of the machine below the database: what a full disk causes outside its tables.
    asyncpg.PostgresSystemError,
)
LOST = (
    OSError,
    asyncpg.InterfaceError,
    # What asyncpg raises when a connection that was cut while idle is used again.
    asyncpg.InternalClientError,
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,
)


async def append(connection: Connection, arguments: list[Any]) -> None:
    """Write a batch. There is no time-out: a batch given up on could still be committed.

    Raises :class:`FencedError`, :class:`RefusedError` or :class:`AmbiguousError`.
    """
    try:
        reach("append.sending")
        reach_sent("append.sent")
        await connection.execute(APPEND, *arguments)
        reach("append.committed")
    except _READ_ONLY as error:
        raise RefusedError(error, read_only=True) from error
    except LOST as error:
        raise AmbiguousError(str(error)) from error
    except asyncpg.UniqueViolationError as error:
        raise RefusedError(error, repeat=error.constraint_name == KEYS) from error
    except asyncpg.PostgresError as error:
        if error.sqlstate in ("TS001", "TS002"):
            raise FencedError(str(error)) from error
        raise RefusedError(error) from error
