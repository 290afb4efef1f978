"""A writer that was replaced writes nothing more, and leaves none of its callers waiting."""

from __future__ import annotations

import asyncio

import asyncpg
import pytest

from libs.service.problems import Problem
from services.ledger.tests.support import Ledger
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


async def test_whoever_waits_when_the_writer_is_fenced_is_told(ledger: Ledger, books: Database) -> None:
    await ledger.do("grant", "ann", amount=1000)
    writer = await ledger.writer()
    owner = await asyncpg.connect(books.owner_dsn)
    try:
        await owner.execute("UPDATE heads SET epoch = epoch + 1")
        # More than one batch: one is being appended, one decided on top of it, the rest in the queue.
        requests = [ledger.request("charge", "ann", amount=1) for _ in range(1500)]
        answers = []
        for request in requests:
            try:
                answers.append(writer.submit(request))
            except Problem:
                # It has heard already; nobody waits from here on.
                break
            if len(answers) % 100 == 0:
                await asyncio.sleep(0)
        results = await asyncio.wait_for(asyncio.gather(*answers, return_exceptions=True), 20)
        charged = await owner.fetchval("SELECT count(*) FROM events WHERE type = 'ledger.credits_charged.v1'")
    finally:
        await owner.close()
    assert {result.status if isinstance(result, Problem) else result for result in results} == {503}
    assert charged == 0
    # The same process takes the shard over again, and the same keys are decided once.
    done = await ledger.do("charge", "ann", amount=1)
    assert done.status == 201
