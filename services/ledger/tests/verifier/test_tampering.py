"""Whatever is changed behind the ledger's back is found while it runs, and named by invariant and place."""

from __future__ import annotations

from pathlib import Path

import pytest

from libs.service.db import Connection
from services.ledger.tests.support import Ledger
from services.ledger.tests.truth.scenario import everything
from services.ledger.tests.truth.test_verify import place
from services.ledger.tests.verifier.harm import Harm, rechain
from services.ledger.tests.verifier.support import counted, verifying
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

Where = tuple[int, int]

IN_TABLES = [
    ("I5", "UPDATE accounts SET settled = settled + 1 WHERE user_id = 'ben'", "accounts: coins/ben/coins: settled is"),
    ("I5", "UPDATE accounts SET facts = '{}' WHERE user_id = 'ben'", "accounts: coins/ben/coins: facts is"),
    ("I5", "DELETE FROM accounts WHERE user_id = 'ben'", "accounts: coins/ben/coins: is missing"),
    (
        "I5",
        "INSERT INTO accounts SELECT app, 'eve', asset, partition, version, changed_at, settled, held, owed,"
        " overdraft_used, granted_total, spent_total, due_at, facts FROM accounts WHERE user_id = 'ben'",
        "accounts: coins/eve/coins: is not in the log",
    ),
    ("I5", "UPDATE lots SET remaining = remaining + 1 WHERE user_id = 'ben' AND live", "remaining is"),
    ("I5", "UPDATE lots SET revoked = 1 WHERE user_id = 'zoe' AND NOT live", "revoked is 1, the log says 0"),
    ("I5", "DELETE FROM lots WHERE NOT live", "is missing"),
    ("I5", "UPDATE holds SET captured = captured + 1 WHERE status = 'captured'", "captured is"),
    ("I5", "UPDATE holds SET status = 'open' WHERE status = 'released'", "status is open, the log says released"),
    ("I5", "DELETE FROM holds WHERE status = 'expired'", "is missing"),
    ("I5", "UPDATE transfers SET status = 'pending' WHERE status = 'returned'", "status is pending"),
    ("I11", "UPDATE transfers SET status = 'pending' WHERE status = 'completed'", "@clearing of coins/coins"),
    ("I5", "UPDATE transfers SET status = 'completed' WHERE status = 'pending'", "status is completed"),
    ("I5", "UPDATE transfers SET refusal = 'x' WHERE status = 'completed'", "refusal is x"),
    ("I11", "DELETE FROM transfers WHERE status = 'pending'", "@clearing of coins/coins"),
    ("I5", "UPDATE configs SET document = '{}' WHERE version = 2", "configs: coins/2: document is"),
    (
        "I5",
        "INSERT INTO configs SELECT app, 9, document, now(), partition, 9 FROM configs LIMIT 1",
        "is not in the log",
    ),
    ("I4", "UPDATE texts SET body = 'other'", "is not the one that was written"),
    ("I5", "UPDATE texts SET user_id = 'eve'", "belongs to another user"),
    ("I5", "UPDATE texts SET event_id = 'event_x'", "texts: event_x: there is no such event"),
    ("I4", "UPDATE heads SET hash = sha256('') WHERE position > 0", "the head's hash"),
    ("I8", "UPDATE heads SET epoch = 0 WHERE position > 0", "the head's epoch 0"),
]


async def test_a_changed_table_is_found_while_the_ledger_runs(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    """I4, I5, I8, I11 of what lies beside the log, changed after it was verified; put right, it is right."""
    await everything(ledger)
    harm = Harm(books)
    await harm.remember()
    async with verifying(books, tmp_path) as verifier:
        await verifier.catches_up()
        for invariant, change, named in IN_TABLES:
            before = counted()
            async with harm.done() as connection:
                assert await connection.execute(change) not in ("UPDATE 0", "DELETE 0", "INSERT 0 0"), change
            await verifier.finds(invariant)
            await verifier.patrols()
            assert any(named in line for line in await verifier.details()), (change, await verifier.details())
            assert counted()[invariant] > before[invariant]
            await harm.undo()
            await verifier.patrols()
            if await verifier.found():
                # What the patrol saw on its way, before it was put right.
                await harm.undo()
                await verifier.patrols()
            assert await verifier.details() == [], change


async def _amount_of_a_charge(connection: Connection) -> Where:
    return await _in_payload(connection, "credits_charged", '"amount":"[^"]*","slices', '"amount":"0.01","slices')


async def _limit_of_an_overdraft(connection: Connection) -> Where:
    await _in_payload(connection, "account_changed", '"overdraft_limit":"[^"]*"', '"overdraft_limit":"0.10"')
    return await place(connection, "credits_charged")


async def _missing_row(connection: Connection) -> Where:
    partition, position = await place(connection, "credits_charged")
    await connection.execute("DELETE FROM events WHERE (partition, position) = ($1, $2)", partition, position)
    return partition, position + 1


async def _version_of_an_account(connection: Connection) -> Where:
    return await _in_payload(connection, "hold_created", '"account_version":', '"account_version":7')


async def _actor(connection: Connection) -> Where:
    where = await place(connection, "hold_captured")
    await connection.execute("UPDATE events SET actor = 'x' WHERE (partition, position) = ($1, $2)", *where)
    return where


async def _member(connection: Connection) -> Where:
    where = await place(connection, "credits_charged")
    await connection.execute("UPDATE events SET member = 'x' WHERE (partition, position) = ($1, $2)", *where)
    return where


async def _epoch(connection: Connection) -> Where:
    partition, position = await place(connection, "credits_charged")
    await connection.execute(
        "UPDATE events SET epoch = epoch + 1 WHERE (partition, position) = ($1, $2)", partition, position
    )
    await rechain(connection, partition)
    return partition, position + 1


async def _time(connection: Connection) -> Where:
    partition, position = await place(connection, "credits_charged")
    await connection.execute(
        "UPDATE events SET time = time + interval '1 year' WHERE (partition, position) = ($1, $2)", partition, position
    )
    await rechain(connection, partition)
    return partition, position + 1


async def _schema(connection: Connection) -> Where:
    where = await place(connection, "hold_captured")
    await connection.execute("UPDATE events SET schema_version = 9 WHERE (partition, position) = ($1, $2)", *where)
    await rechain(connection, where[0])
    return where


async def _field(connection: Connection) -> Where:
    return await _in_payload(connection, "hold_captured", '"captured_total"', '"taken_total"')


async def _in_payload(connection: Connection, kind: str, old: str, new: str) -> Where:
    """Change the payload of the first event of a type, and make the chain anew."""
    where = await place(connection, kind)
    before = await connection.fetchval("SELECT payload FROM events WHERE (partition, position) = ($1, $2)", *where)
    await connection.execute(
        "UPDATE events SET payload = convert_to(regexp_replace(convert_from(payload, 'UTF8'), $3, $4), 'UTF8')"
        " WHERE (partition, position) = ($1, $2)",
        *where,
        old,
        new,
    )
    assert before != await connection.fetchval(
        "SELECT payload FROM events WHERE (partition, position) = ($1, $2)", *where
    )
    await rechain(connection, where[0])
    return where


IN_LOG = [
    ("I1", _amount_of_a_charge),
    ("I2", _limit_of_an_overdraft),
    ("I3", _missing_row),
    ("I3", _version_of_an_account),
    ("I4", _actor),
    ("I5", _member),
    ("I8", _epoch),
    ("I9", _time),
    ("I12", _schema),
    ("I12", _field),
]


async def test_a_changed_log_is_found_by_whoever_reads_it_from_the_beginning(
    ledger: Ledger, books: Database, tmp_path: Path
) -> None:
    """I1, I2, I3, I4, I5, I8, I9, I12: a verifier that begins, and `verify`, name the same place."""
    await everything(ledger)
    harm = Harm(books)
    await harm.remember()
    for number, (invariant, change) in enumerate(IN_LOG):
        async with harm.done() as connection:
            where = await change(connection)
        async with verifying(books, tmp_path, name=f"verifier-{number}") as verifier:
            assert (invariant, *where) in await verifier.finds(invariant), change
        offline = {(v.invariant, v.partition, v.position) for v in (await verify(books.runtime_dsn)).violations}
        assert (invariant, *where) in offline, change
        await harm.undo()


async def test_a_changed_log_is_found_by_the_patrol(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    """I3, I4, I5 of events that had been verified, by a verifier that knows where the log led to."""
    await everything(ledger)
    harm = Harm(books)
    await harm.remember()
    async with verifying(books, tmp_path) as verifier:
        await verifier.catches_up()
        for invariant, change in (("I4", _actor), ("I5", _member), ("I3", _missing_row)):
            async with harm.done() as connection:
                where = await change(connection)
            assert (invariant, *where) in await verifier.finds(invariant), change
            await harm.undo()
        # A whole chain that is right in itself, but another one.
        async with harm.done() as connection:
            await _amount_of_a_charge(connection)
        await verifier.finds("I4")
