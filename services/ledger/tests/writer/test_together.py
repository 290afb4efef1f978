"""Commands that are done as one."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from libs.service.clock import SECOND_US
from services.ledger.requests import together
from services.ledger.tests.support import Ledger
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


async def types(ledger: Ledger) -> list[str]:
    """What has happened on the account of ann, in order."""
    rows = await ledger.pool.fetch("SELECT type FROM events WHERE user_id = 'ann' ORDER BY position")
    return [row["type"].split(".")[1] for row in rows]


async def test_what_time_has_made_due_happens_even_when_they_do_not(ledger: Ledger, books: Database) -> None:
    now = ledger.clock.now_us()
    await ledger.do("grant", "ann", amount=5, expires_at=now + 10 * SECOND_US)
    await ledger.do("grant", "ann", amount=5)
    before = await types(ledger)
    ledger.clock.advance(20)
    asked = [ledger.request("charge", "ann", amount=amount) for amount in (1, 9)]
    refused = await ledger.send(together(asked))
    assert (refused.status, orjson.loads(refused.body)["statuses"]) == (402, [424, 402])
    assert await types(ledger) == [*before, "lot_expired"]
    assert (await ledger.do("charge", "ann", amount=5)).body["settled"] == "0"
    assert (await verify(books.runtime_dsn)).ok


async def test_in_one_batch_with_others(ledger: Ledger, books: Database) -> None:
    """What stands before and after in the same append sees all of it, or nothing of it."""
    await ledger.do("grant", "ann", amount=10)
    first = ledger.request("charge", "ann", amount=1)
    good = together([ledger.request("charge", "ann", amount=2), ledger.request("hold", "ann", amount=2)])
    bad = together([ledger.request("charge", "ann", amount=3), ledger.request("charge", "ann", amount=30)])
    last = ledger.request("charge", "ann", amount=1)
    answers = await asyncio.gather(*(ledger.send(request) for request in (first, good, bad, last)))
    assert [answer.status for answer in answers] == [201, 200, 402, 201]
    parts = [orjson.loads(answer.body) for answer in (answers[0], *answers[1].parts, answers[3])]
    assert [part["available"] for part in parts] == ["9", "7", "5", "4"]
    positions = [part["position"] for part in parts]
    assert positions == list(range(positions[0], positions[0] + 4))
    assert (await verify(books.runtime_dsn)).ok
