"""A repeat is the first answer, byte for byte, whatever has happened since and whoever writes by then."""

from __future__ import annotations

import pytest

from services.ledger.tests.support import Ledger, ledger_on
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


async def _repeats(ledger: Ledger) -> list[bytes]:
    """The answers to three commands under keys of their own; one of them is a refusal."""
    commands = [("charge", 3, "a"), ("charge", 50, "b"), ("hold", 2, "c")]
    requests = [ledger.request(name, "ann", amount=amount, key=key) for name, amount, key in commands]
    return [(await ledger.send(request)).body for request in requests]


async def test_a_repeat_is_the_first_answer_whatever_has_happened_since(books: Database) -> None:
    """I6, C5: from memory while the writer lives, from the table after it."""
    async with ledger_on(books) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10)
        first = await _repeats(ledger)
        await ledger.do("grant", "ann", amount=1000)
        await ledger.do("charge", "ann", amount=7)
        assert await _repeats(ledger) == first
        count = await ledger.pool.fetchval("SELECT count(*) FROM events")
    async with ledger_on(books) as ledger:
        assert await _repeats(ledger) == first
        assert await ledger.pool.fetchval("SELECT count(*) FROM events") == count
