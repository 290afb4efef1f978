"""`rebuild`: tables made anew equal the live ones, while the ledger runs; a swap happens as a whole or not at all."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import asyncpg
import pytest

from libs.service.db import connect
from services.ledger.rebuild import UnsoundLogError, rebuild
from services.ledger.tests.support import Ledger
from services.ledger.tests.truth.scenario import everything
from services.ledger.tests.truth.test_verify import tampering, told
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

SHAPE = """
SELECT c.relname, c.relkind, c.relacl::text, c.reloptions::text, pg_get_indexdef(c.oid),
    (SELECT array_agg(conname || pg_get_constraintdef(oid) ORDER BY conname)::text FROM pg_constraint
     WHERE conrelid = c.oid),
    (SELECT array_agg(attname || atttypid::regtype || attnotnull ORDER BY attnum)::text FROM pg_attribute
     WHERE attrelid = c.oid AND attnum > 0)
FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'i') ORDER BY c.relname
"""
ROWS = "SELECT md5(string_agg(t::text, E'\\n' ORDER BY t::text)) FROM {} t"
WAITING = "SELECT pid FROM pg_stat_activity WHERE application_name = 'ledger-rebuild' AND wait_event_type = 'Lock'"
TABLES = ("accounts", "lots", "holds", "transfers", "configs", "texts", "results", "unique_refs")


async def content(ledger: Ledger) -> dict[str, Any]:
    return {table: await ledger.pool.fetchval(ROWS.format(table)) for table in TABLES}


async def test_what_is_made_anew_is_what_was_there(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    refused = await ledger.do("transfer", "ben", to_user="liz", amount=1)
    await ledger.do("transfer.refuse", "liz", transfer=refused.id, refusal="account_closed")
    before, shape = await content(ledger), await ledger.pool.fetch(SHAPE)
    outcome = await rebuild(books.owner_dsn)
    assert (outcome.difference_count, outcome.swapped) == (0, False)
    outcome = await rebuild(books.owner_dsn, swap=True)
    assert (outcome.difference_count, outcome.swapped) == (0, True)
    assert outcome.events == await ledger.pool.fetchval("SELECT count(*) FROM events")
    assert await content(ledger) == before
    assert await ledger.pool.fetch(SHAPE) == shape
    assert told(await verify(ledger.dsn)) == []


async def at_random(ledger: Ledger, chance: random.Random, steps: int) -> None:
    """Whatever comes to mind, refused or not, while time passes."""
    users = [f"user-{n}" for n in range(6)]
    made: dict[str, list[str]] = {"grant": ["grant_none"], "charge": ["charge_none"], "hold": ["hold_none"]}
    for _ in range(steps):
        user, amount = chance.choice(users), chance.randrange(1, 400)
        now = ledger.clock.now_us()
        soon, later = (now + chance.randrange(1, 300) * 1_000_000 for _ in range(2))
        grant, charge, hold = (chance.choice(made[kind][-8:]) for kind in ("grant", "charge", "hold"))
        choices: list[tuple[str, dict[str, Any]]] = [
            ("grant", {"amount": amount * 3, "expires_at": chance.choice([None, later])}),
            ("grant", {"amount": amount, "effective_at": soon, "source": "paid"}),
            ("charge", {"amount": amount}),
            ("charge.refund", {"charge": charge}),
            ("charge.refund", {"charge": charge, "amount": 5}),
            ("hold", {"amount": amount, "ttl_s": chance.randrange(1, 200)}),
            ("hold.capture", {"hold": hold, "amount": amount // 2 + 1, "final": chance.random() < 0.5}),
            ("hold.release", {"hold": hold}),
            ("grant.revoke", {"grant": grant, "policy": chance.choice(["debt", "absorb"])}),
            ("adjustment", {"amount": -amount}),
            ("account.change", {"overdraft_limit": amount}),
            ("transfer", {"to_user": chance.choice(users), "amount": amount}),
            ("sweep", {"key": ""}),
        ]
        name, fields = chance.choice(choices)
        done = await ledger.do(name, user, **fields)
        if done.status < 300 and name in made:
            made[name].append(done.id)
        elif name == "hold.capture" and done.status < 300:
            made["charge"].append(done.body["charge"])
        elif name == "transfer" and done.status < 300 and chance.random() < 0.8:
            await ledger.arrive(done.id)
        if chance.random() < 0.3:
            ledger.clock.advance(chance.randrange(1, 60))


@pytest.mark.parametrize("seed", range(3))
async def test_what_is_made_anew_after_anything_is_what_was_there(ledger: Ledger, books: Database, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 (a run that can be repeated)
    await at_random(ledger, chance, 250)
    before = await content(ledger)
    assert told(await verify(ledger.dsn)) == []
    assert (await rebuild(books.owner_dsn, swap=True)).difference_count == 0
    assert await content(ledger) == before
    await at_random(ledger, chance, 50)
    assert told(await verify(ledger.dsn)) == []


async def test_several_processes_make_the_same(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    before = await content(ledger)
    assert (await rebuild(books.owner_dsn, swap=True, jobs=2)).swapped
    assert await content(ledger) == before


async def test_differences_are_named_and_put_right(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    before = await content(ledger)
    async with tampering(books) as connection:
        await connection.execute("UPDATE accounts SET settled = 1 WHERE user_id = 'ben'")
        await connection.execute("DELETE FROM lots WHERE user_id = 'ann' AND NOT live")
    found = [difference.detail for difference in (await rebuild(books.owner_dsn)).differences]
    assert any(line.startswith("accounts: coins/ben/coins: settled is 1") for line in found)
    assert any(line.startswith("lots: ") and line.endswith("is missing") for line in found)
    assert not (await verify(ledger.dsn)).ok, "without a swap nothing changes"
    await rebuild(books.owner_dsn, swap=True)
    assert await content(ledger) == before
    assert (await verify(ledger.dsn)).ok


async def test_the_ledger_goes_on_before_during_and_after_a_swap(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    stop = asyncio.Event()
    finished: asyncio.Queue[str] = asyncio.Queue()

    async def work(user: str) -> None:
        await ledger.do("grant", user, amount=1_000_000)
        while not stop.is_set():
            charge = await ledger.do("charge", user, amount=2)
            await ledger.do("charge.refund", charge=charge.id, amount=1)
            hold = await ledger.do("hold", user, amount=5)
            await ledger.do("hold.capture", hold=hold.id, amount=3)
            small = await ledger.do("grant", user, amount=1, expires_at=ledger.clock.now_us() + 1)
            await ledger.do("grant.revoke", grant=small.id)
            await ledger.transfer(user, f"{user}-friend", 1)
            finished.put_nowait(user)

    workers = [asyncio.create_task(work(f"user-{n}")) for n in range(6)]
    swaps = [await rebuild(books.owner_dsn, swap=True) for _ in range(3)]
    for _ in range(finished.qsize() + 12):
        await finished.get()
    stop.set()
    await asyncio.gather(*workers)
    assert [(swap.swapped, swap.difference_count) for swap in swaps] == [(True, 0)] * 3
    assert told(await verify(ledger.dsn)) == []


async def test_a_running_writer_takes_the_new_tables_over(ledger: Ledger, books: Database) -> None:
    await ledger.do("grant", "ann", amount=100)
    async with tampering(books) as connection:
        # The writer has ann in memory; the tables say something else, which it would not see.
        await connection.execute("UPDATE lots SET remaining = 5; UPDATE accounts SET settled = 5")
    first = await ledger.writer()
    await rebuild(books.owner_dsn, swap=True)
    assert (await ledger.do("charge", "ann", amount=30)).body["settled"] == "0.70"
    assert await ledger.writer() is not first
    assert told(await verify(ledger.dsn)) == []


async def test_a_swap_that_is_broken_off_leaves_everything_as_it_was(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    before = await content(ledger)
    blocker = await connect(books.owner_dsn, application_name="blocker")
    watcher = await connect(books.admin_dsn, application_name="watcher")
    try:
        async with blocker.transaction():
            await blocker.execute("LOCK TABLE configs IN ACCESS SHARE MODE")
            swapping = asyncio.create_task(rebuild(books.owner_dsn, swap=True))
            while (pid := await watcher.fetchval(WAITING)) is None:
                assert not swapping.done()
                await asyncio.sleep(0.01)
            await watcher.execute("SELECT pg_terminate_backend($1)", pid)
            with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
                await swapping
    finally:
        await blocker.close()
        await watcher.close()
    assert await content(ledger) == before
    assert (await ledger.do("grant", "ann", amount=1)).status == 201
    assert told(await verify(ledger.dsn)) == []
    assert (await rebuild(books.owner_dsn, swap=True)).swapped, "what was left does not stand in the way"


async def test_a_swap_waits_for_readers_only_so_long(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    before = await content(ledger)
    reader = await connect(books.runtime_dsn, application_name="reader")
    try:
        async with reader.transaction():
            await reader.fetch("SELECT * FROM accounts")
            with pytest.raises(asyncpg.LockNotAvailableError):
                await rebuild(books.owner_dsn, swap=True)
    finally:
        await reader.close()
    assert await content(ledger) == before
    assert (await ledger.do("grant", "ann", amount=1)).status == 201


async def test_a_log_that_cannot_be_folded_is_refused(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        await connection.execute("UPDATE events SET payload = '{}' WHERE type = 'ledger.hold_captured.v1'")
    with pytest.raises(UnsoundLogError, match="cannot be folded"):
        await rebuild(books.owner_dsn, swap=True)
