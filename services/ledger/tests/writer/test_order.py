"""What one writer decides, it decides one after another, however much of it arrives at once."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import pairwise

import pytest

from libs.service.clock import parse_time
from services.ledger.domain import commands as cmd
from services.ledger.requests import Cursor, Request
from services.ledger.store.log_source import EVENTS_TOPIC, LedgerLog
from services.ledger.tests.support import DEADLINE_S, PARTITIONS, Ledger, ledger_on
from services.ledger.verify.run import verify
from services.ledger.writer.surroundings import Limits
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


LOTS = (cmd.IncomingLot(amount=4, source="promo", priority=100, expires_at=None, scope=(), cost_basis=None),)


def _note(done: list[str], kind: str, _answer: object) -> None:
    done.append(kind)


async def test_what_arrives_while_a_batch_commits_is_decided_on_top_of_it(
    books: Database, caplog: pytest.LogCaptureFixture
) -> None:
    """I2: a charge sees every charge before it, those that are still being committed among them."""
    async with ledger_on(books, limits=Limits(batch_max=4)) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=100)
        writer = await ledger.writer()
        answers = []
        for _ in range(150):
            answers.append(writer.submit(ledger.request("charge", "ann", amount=1)))
            await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE_S):
            statuses = [answer.status for answer in await asyncio.gather(*answers)]
        assert statuses == [201] * 100 + [402] * 50
        assert "a batch was refused" not in caplog.text
        assert (await verify(ledger.dsn)).violations == []


async def test_sweeps_wait_behind_live_commands(books: Database) -> None:
    async with ledger_on(books, limits=Limits(batch_max=2, sweeps_max=2)) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=100)
        writer = await ledger.writer()
        done: list[str] = []
        requests = [ledger.request("sweep", "ann", key="") for _ in range(4)]
        requests += [ledger.request("charge", "ann", amount=1) for _ in range(6)]
        answers = [writer.submit(request) for request in requests]
        for request, answer in zip(requests, answers, strict=True):
            answer.add_done_callback(partial(_note, done, request.type))
        async with asyncio.timeout(DEADLINE_S):
            await asyncio.gather(*answers)
        assert done == ["charge"] * 6 + ["sweep"] * 4


async def test_the_time_of_events_never_goes_back(ledger: Ledger) -> None:
    """I9: the clock of the machine may go back; the log's does not."""
    await ledger.do("grant", "ann", amount=10)
    for seconds in (5, -3600, 1):
        ledger.clock.set(ledger.clock.now_us() + seconds * 1_000_000)
        for number in range(8):
            await ledger.do("grant", f"new{seconds}{number}", amount=1)
    rows = await ledger.pool.fetch("SELECT partition, time FROM events ORDER BY partition, position")
    places = [(row["partition"], row["time"]) for row in rows]
    assert all(one <= two for one, two in pairwise(places))
    assert (await verify(ledger.dsn)).violations == []


async def test_the_log_is_read_in_the_order_of_its_positions(books: Database) -> None:
    """I10: apps have clocks of their own, so neither times nor ids tell the order in which things were decided."""
    for app, start in (("later", "2030-01-01T00:00:00Z"), ("sooner", "2027-01-01T00:00:00Z")):
        async with ledger_on(books) as ledger:
            ledger.app_times[app] = parse_time(start)
            await ledger.configure(app, test_mode={"clock_start": start})
            for number in range(24):
                await ledger.do("grant", f"user{number}", app=app, amount=1)
            log = LedgerLog(ledger.pool)
            read = [await log.read(EVENTS_TOPIC, partition, 0, 1000) for partition in range(PARTITIONS)]
            middle = await log.read(EVENTS_TOPIC, 0, 3, 2)
    for events in read:
        assert [(event.prevseq, event.seq) for event in events] == [(n, n + 1) for n in range(len(events))]
        assert [event.id for event in events] != sorted(event.id for event in events)
    assert [event.seq for event in middle] == [4, 5]


async def test_a_step_of_a_transfer_is_taken_once(ledger: Ledger) -> None:
    """I11: a credit that comes again, under whatever key, credits nothing, and what arrived is not returned too."""
    await ledger.do("grant", "ann", amount=10)
    debit = await ledger.do("transfer", "ann", to_user="ben", amount=4)
    assert (await ledger.arrive(debit.id)).status == 201
    for _ in range(2):
        again = await ledger.do("transfer.credit", "ben", from_user="ann", lots=LOTS, transfer=debit.id)
        assert (again.status, again.body["code"]) == (409, "transfer_settled")
        back = await ledger.do("transfer.return", "ann", refusal="x", transfer=debit.id)
        assert (back.status, back.body["code"]) == (409, "transfer_settled")
    settled = await ledger.pool.fetch("SELECT user_id, settled FROM accounts ORDER BY user_id")
    assert [tuple(row) for row in settled] == [("ann", 6), ("ben", 4)]
    assert (await verify(ledger.dsn)).violations == []


async def test_what_was_returned_arrives_no_more(ledger: Ledger) -> None:
    """I11: a transfer ends in one way."""
    await ledger.do("grant", "ann", amount=10)
    await ledger.do("account.close", "ben")
    returned = await ledger.transfer("ann", "ben", 4)
    assert returned.body["status"] == "returned"
    again = await ledger.do("transfer.credit", "ben", from_user="ann", lots=LOTS, transfer=returned.id)
    assert again.status == 409
    back = await ledger.do("transfer.return", "ann", refusal="x", transfer=returned.id)
    assert (back.status, back.body["code"]) == (409, "transfer_settled")
    assert await ledger.pool.fetchval("SELECT settled FROM accounts WHERE user_id = 'ann'") == 10
    assert (await verify(ledger.dsn)).violations == []


async def test_a_place_in_kafka_moves_with_the_effect_or_not_at_all(ledger: Ledger, books: Database) -> None:
    """C6: a command whose batch was refused is read again, because its place was not moved either."""
    await ledger.do("grant", "ann", amount=10)
    partition = await ledger.pool.fetchval("SELECT partition FROM accounts WHERE user_id = 'ann'")
    writer = await ledger.writer()
    await ledger.pool.execute("UPDATE heads SET epoch = epoch + 1")

    def charge() -> Request:
        cursor = Cursor("cluster", "ledger.commands", partition, 7)
        return ledger.request("charge", "ann", amount=1, door="kafka", cursor=cursor, key="by-kafka")

    results = await asyncio.gather(writer.submit(charge()), return_exceptions=True)
    assert isinstance(results[0], Exception), "the writer was fenced"
    query = "SELECT next_offset FROM command_cursors"
    assert await ledger.pool.fetchval(query) is None
    assert (await ledger.send(charge())).status == 201
    assert await ledger.pool.fetchval(query) == 8
    assert await ledger.pool.fetchval("SELECT settled FROM accounts") == 9
