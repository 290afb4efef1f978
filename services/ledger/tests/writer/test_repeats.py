"""A repeat is the first answer, byte for byte, whatever has happened since and whoever writes by then."""

from __future__ import annotations

import asyncio

import pytest

from services.ledger.tests.support import DEADLINE_S, Ledger, ledger_on
from services.ledger.writer.surroundings import Limits
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


UNREAD = Limits(doubtful_max=0)
"""No key is looked up before a repeat has been found."""


async def test_a_repeat_that_nobody_looked_up_is_found_by_the_append(books: Database) -> None:
    """I6: the batch that holds it comes to nothing, and what else was in it, or on top of it, is decided once."""
    async with ledger_on(books) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10)
        first = await _repeats(ledger)
    async with ledger_on(books, limits=UNREAD) as ledger:
        writer = await ledger.writer()
        requests = [ledger.request("charge", "ann", amount=1) for _ in range(5)]
        requests[2:2] = [ledger.request("charge", "ann", amount=3, key="a")]
        requests[4:4] = [ledger.request("charge", "ann", amount=50, key="b")]
        async with asyncio.timeout(DEADLINE_S):
            answers = await asyncio.gather(*[writer.submit(request) for request in requests])
        assert [answer.replayed for answer in answers] == [False, False, True, False, True, False, False]
        assert [answers[2].body, answers[4].body] == first[:2]
        assert await ledger.pool.fetchval("SELECT settled FROM accounts") == 10 - 3 - 5
        other = await ledger.do("charge", "ann", amount=4, key="a")
        assert (other.status, other.body["code"]) == (422, "idempotency_key_reused")


async def test_a_repeat_that_would_be_refused_today_is_the_first_answer(books: Database) -> None:
    """I6: nothing is stored of such a refusal, so that no append would find the repeat."""
    async with ledger_on(books) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10)
        first = await _repeats(ledger)
        await ledger.configure(switches={"holds": False})
    async with ledger_on(books, limits=UNREAD) as ledger:
        assert (await ledger.do("hold", "ann", amount=2)).status == 403
    async with ledger_on(books, limits=UNREAD) as ledger:
        requests = [ledger.request("hold", "ann", amount=amount, key=key) for amount, key in ((2, "c"), (1, "c"))]
        assert (await ledger.send(requests[0])).body == first[2]
        assert (await ledger.send(requests[1])).status == 422
        assert (await ledger.do("hold", "ann", amount=2)).status == 403
