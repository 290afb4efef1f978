"""What an append sends, column by column, and what it makes of the database's errors."""

from __future__ import annotations

from typing import Any, cast

import asyncpg
import orjson
import pytest

from libs.service.db import Connection
from services.ledger.domain.state import Account, Lot, LotTerms, Phase, Profile
from services.ledger.store.append import (
    APPEND,
    AmbiguousError,
    FencedError,
    RefusedError,
    Rows,
    append,
    parameters,
)
from services.ledger.store.heads import Head

TERMS = LotTerms("grant_1", 100, "paid", 100, 5, 5, None)


def test_a_batch_becomes_the_columns_of_the_function() -> None:
    account = Account(
        Profile("coins", "ann", "gold", scale=2, partition=3, opened_at=5),
        version=7,
        time_us=11,
        settled=12,
        held=13,
        owed=14,
        overdraft_used=15,
        granted_total=16,
        spent_total=17,
        due_at=18,
    )
    live = Lot(TERMS, 50, 20, Phase.LIVE, 21, 22, 19, "debt")
    dead = Lot(LotTerms("grant_2", 9, "promo", 100, 5, 5, None), 0, phase=Phase.EXPIRED)
    rows = Rows(
        heads=[(Head(3, 40, bytes(32), 2, 10), Head(3, 42, b"\xab" * 32, 2, 11)), (Head(4, 1, b"", 6, 8),) * 2],
        events=[(3, "a"), (3, None)],
        results=[("coins", "")],
        accounts=[account],
        lots=[live, dead],
    )
    rows.add("holds", {"id": "hold_1"})
    rows.add("holds", {"id": "hold_2"})
    rows.add("texts", {"body": "ö"})
    *columns, rest = parameters(rows)
    joined = [[column.split("\x1f") for column in table] for table in columns]
    heads, events, results, accounts, lots = joined
    assert heads == [["3", "4"], ["2", "6"], ["40", "1"], ["42", "1"], ["ab" * 32, "\x1e"], ["11", "8"]]
    assert events == [["3", "3"], ["a", "\x1e"]]
    assert results == [["coins"], ["\x1e"]]
    facts = '{"scale":2,"opened_at":5}'
    assert accounts == [
        [value] for value in ("coins", "ann", "gold", "3", "7", "11", "12", "13", "14", "15", "16", "17", "18", facts)
    ]
    assert lots == [
        ["grant_1", "grant_2"],
        ["50", "0"],
        ["20", "0"],
        ["1", "2"],
        ["21", "0"],
        ["22", "0"],
        ["19", "0"],
        ["debt", "absorb"],
        ["True", "False"],
    ]
    assert orjson.loads(rest) == {"holds": [{"id": "hold_1"}, {"id": "hold_2"}], "texts": [{"body": "ö"}]}


def test_a_batch_without_rare_rows_sends_none() -> None:
    assert parameters(Rows()) == [[], [], [], [], [], None]


class _Failing:
    """A connection of the driver that has sent what it was given, and then fails."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.sent: tuple[Any, ...] = ()

    async def execute(self, query: str, *arguments: Any) -> str:
        self.sent = (query, *arguments)
        raise self.error


def _by_state(state: str, message: str = "why") -> asyncpg.PostgresError:
    kind = cast("type[asyncpg.PostgresError]", type("Raised", (asyncpg.PostgresError,), {"sqlstate": state}))
    return kind(message)


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("error", "kind", "read_only"),
    [
        (_by_state("TS001"), FencedError, None),
        (_by_state("TS002"), FencedError, None),
        (_by_state("TS003"), RefusedError, False),
        (asyncpg.UniqueViolationError("why"), RefusedError, False),
        (asyncpg.ReadOnlySQLTransactionError("why"), RefusedError, True),
        (asyncpg.DiskFullError("why"), RefusedError, True),
        (asyncpg.InsufficientResourcesError("why"), RefusedError, True),
        (asyncpg.PostgresSystemError("why"), RefusedError, True),
        (asyncpg.AdminShutdownError("why"), AmbiguousError, None),
        (asyncpg.PostgresConnectionError("why"), AmbiguousError, None),
        (asyncpg.InterfaceError("why"), AmbiguousError, None),
        (asyncpg.InternalClientError("why"), AmbiguousError, None),
        (ConnectionResetError("why"), AmbiguousError, None),
        (ValueError("why"), ValueError, None),
    ],
)
async def test_an_error_means_fenced_refused_or_nobody_knows(
    error: Exception, kind: type[Exception], read_only: bool | None
) -> None:
    """C2, C3, C11, C13: only what certainly was not written may be decided again without a look at the heads."""
    connection = _Failing(error)
    with pytest.raises(kind) as raised:
        await append(cast("Connection", connection), ["heads", "events"])
    assert connection.sent == (APPEND, "heads", "events")
    assert str(raised.value).startswith("why")
    assert getattr(raised.value, "read_only", None) is read_only
    if kind is not ValueError:
        assert raised.value.__cause__ is error
