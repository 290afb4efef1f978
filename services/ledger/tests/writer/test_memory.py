"""What the writer keeps in memory is bounded, and what it forgets while it works it reads again."""

from __future__ import annotations

import asyncio
import random

import pytest

from services.ledger.rebuild import rebuild
from services.ledger.tests.support import ledger_on
from services.ledger.verify.run import verify
from services.ledger.writer.surroundings import Limits
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

USERS = [f"user{number}" for number in range(40)]
CALLERS = 8
STEPS = 60


async def test_an_account_that_is_forgotten_while_a_batch_is_read_for_keeps_what_it_has(books: Database) -> None:
    """I5: a commit pushes accounts, keys and holds out of memory at any moment, and nothing changes by that."""
    chance = random.Random(11)  # noqa: S311
    expected = dict.fromkeys(USERS, 0)
    async with ledger_on(books, limits=Limits(accounts_max=6, recent_max=6, batch_max=3)) as ledger:
        await ledger.configure()

        async def call() -> None:
            for _ in range(STEPS):
                user = chance.choice(USERS)
                granted = await ledger.do("grant", user, amount=3)
                expected[user] += 3
                assert granted.status == 201
                hold = await ledger.do("hold", user, amount=2)
                assert hold.status == 201
                captured = await ledger.do("hold.capture", hold=hold.id, amount=1, key=f"capture {hold.id}")
                again = await ledger.do("hold.capture", hold=hold.id, amount=1, key=f"capture {hold.id}")
                assert captured.status < 300
                assert (again.replayed, again.body) == (True, captured.body)
                expected[user] -= 1

        await asyncio.gather(*[call() for _ in range(CALLERS)])
        rows = await ledger.pool.fetch("SELECT user_id, settled FROM accounts")
        assert {row["user_id"]: row["settled"] for row in rows} == {u: n for u, n in expected.items() if n}
        assert (await verify(ledger.dsn)).violations == []
    assert (await rebuild(books.owner_dsn)).difference_count == 0
