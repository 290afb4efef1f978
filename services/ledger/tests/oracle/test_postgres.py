"""The real writer on PostgreSQL against the oracle; in the end its books are proven, and tables follow from the log."""

from __future__ import annotations

import asyncio

import pytest

from services.ledger.rebuild import rebuild
from services.ledger.tests.oracle.postgres import Books, PostgresSubject
from services.ledger.tests.oracle.whole import machine_for
from services.ledger.tests.support import prepare
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database


@pytest.mark.timeout(600)
@pytest.mark.parametrize("steps", [12, 40])
def test_the_writer_agrees_with_the_oracle(database: Database, steps: int) -> None:
    asyncio.run(prepare(database))
    books = Books(database)
    trials = machine_for(lambda: PostgresSubject(books), examples=12, steps=steps)
    try:
        trials("runTest").debug()
    finally:
        books.close()
    assert books.trials >= 12
    assert asyncio.run(verify(database.runtime_dsn)).violations == []
    assert asyncio.run(rebuild(database.owner_dsn)).difference_count == 0
