"""`verify` on logs that the real writer made: clean ones pass, each kind of damage is named where it is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from libs.service.db import Connection, connect
from libs.service.keys import generate_key, read_jwks, write_jwks
from services.ledger.anchors import AnchorPlace, anchor_once
from services.ledger.domain.codec import EVENT_TYPES
from services.ledger.store.log_source import renew_stream
from services.ledger.tests.support import Ledger
from services.ledger.tests.truth.scenario import everything
from services.ledger.verify.run import Verification, verify
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def tampering(books: Database) -> AsyncIterator[Connection]:
    """The database as somebody has it who may do everything, triggers or not."""
    connection = await connect(books.admin_dsn, application_name="tampering")
    try:
        await connection.execute("SET session_replication_role = replica")
        yield connection
    finally:
        await connection.close()


def told(outcome: Verification) -> list[str]:
    return [str(violation) for violation in outcome.violations]


async def place(connection: Connection, kind: str) -> tuple[int, int]:
    """Where the first event of a type is."""
    row = await connection.fetchrow(
        "SELECT partition, position FROM events WHERE type = $1 ORDER BY partition, position", f"ledger.{kind}.v1"
    )
    assert row is not None
    return row["partition"], row["position"]


async def test_a_log_of_every_type_of_event_is_proven(ledger: Ledger) -> None:
    await everything(ledger)
    types = {row["type"] for row in await ledger.pool.fetch("SELECT DISTINCT type FROM events")}
    assert types == set(EVENT_TYPES)
    outcome = await verify(ledger.dsn)
    assert told(outcome) == []
    assert outcome.partitions == 4
    assert outcome.events == await ledger.pool.fetchval("SELECT count(*) FROM events")
    assert outcome.texts == 1, "that of the transfer: ann's have been erased"


async def test_several_processes_find_the_same(ledger: Ledger) -> None:
    await everything(ledger)
    assert await verify(ledger.dsn, jobs=2) == await verify(ledger.dsn)


async def test_a_single_partition_can_be_verified(ledger: Ledger) -> None:
    await everything(ledger)
    parts = [await verify(ledger.dsn, partition=n) for n in range(4)]
    assert all(part.ok for part in parts)
    assert sum(part.events for part in parts) == (await verify(ledger.dsn)).events
    with pytest.raises(ValueError, match="no partition 4"):
        await verify(ledger.dsn, partition=4)


async def test_it_goes_on_beside_a_ledger_that_writes(ledger: Ledger) -> None:
    await ledger.do("grant", "ann", amount=10_000)
    for _ in range(5):
        charges = [ledger.request("charge", "ann", amount=1) for _ in range(50)]
        writer = await ledger.writer()
        answers = [writer.submit(charge) for charge in charges]
        assert told(await verify(ledger.dsn)) == []
        assert {(await answer).status for answer in answers} == {201}


async def test_a_flipped_byte_is_named_by_its_position(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        where = await place(connection, "credits_charged")
        await connection.execute(
            "UPDATE events SET payload = overlay(payload PLACING '\\x39' FROM position('amount'::bytea IN payload) + 9)"
            " WHERE (partition, position) = ($1, $2)",
            *where,
        )
    outcome = await verify(ledger.dsn)
    first = outcome.violations[0]
    assert (first.invariant, first.partition, first.position) == ("I4", *where)
    assert any(v.invariant == "I1" for v in outcome.violations), "and its balances no longer follow"


async def test_a_payload_that_is_no_event_is_named(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        where = await place(connection, "hold_captured")
        await connection.execute("UPDATE events SET payload = '{}' WHERE (partition, position) = ($1, $2)", *where)
    found = {(v.invariant, v.partition, v.position) for v in (await verify(ledger.dsn)).violations}
    assert {("I4", *where), ("I12", *where)} == found


async def test_other_bytes_of_the_same_event_are_named(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        where = await place(connection, "credits_charged")
        await connection.execute(
            "UPDATE events SET payload = payload || ' '::bytea WHERE (partition, position) = ($1, $2)", *where
        )
    found = {(v.invariant, v.partition, v.position) for v in (await verify(ledger.dsn)).violations}
    assert found == {("I4", *where), ("I12", *where)}


@pytest.mark.parametrize(
    ("column", "value"),
    [("object", "'charge_x'"), ("reference", "'other'"), ("member", "'other'"), ("account_version", "900")],
)
async def test_a_column_that_says_something_else_is_named(
    ledger: Ledger, books: Database, column: str, value: str
) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        where = await place(connection, "credits_charged")
        await connection.execute(f"UPDATE events SET {column} = {value} WHERE (partition, position) = ($1, $2)", *where)
    outcome = await verify(ledger.dsn)
    assert [(v.invariant, v.partition, v.position) for v in outcome.violations] == [("I5", *where)]
    assert f"events.{column}" in outcome.violations[0].detail


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("epoch", "epoch + 1"),
        ("actor", "'somebody'"),
        ("idempotency_key", "'k'"),
        ("time", "time + interval '1 us'"),
        ("event_id", "'event_x'"),
        ("transaction_id", "'t'"),
        ("command_id", "'c'"),
        ("correlation_id", "'c'"),
        ("causation_id", "'c'"),
    ],
)
async def test_every_column_is_in_the_chain(ledger: Ledger, books: Database, column: str, value: str) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        where = await place(connection, "credits_charged")
        await connection.execute(f"UPDATE events SET {column} = {value} WHERE (partition, position) = ($1, $2)", *where)
    found = {(v.invariant, v.partition, v.position) for v in (await verify(ledger.dsn)).violations}
    assert ("I4", *where) in found


async def test_swapped_rows_are_named(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        partition, position = await place(connection, "credits_charged")
        for old, new in ((position, -1), (position + 1, position), (-1, position + 1)):
            await connection.execute(
                "UPDATE events SET position = $3 WHERE (partition, position) = ($1, $2)", partition, old, new
            )
    outcome = await verify(ledger.dsn)
    first = outcome.violations[0]
    assert (first.invariant, first.partition, first.position) == ("I4", partition, position)


async def test_a_missing_row_is_named(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        partition, position = await place(connection, "credits_charged")
        await connection.execute("DELETE FROM events WHERE (partition, position) = ($1, $2)", partition, position)
    first = (await verify(ledger.dsn)).violations[0]
    assert (first.invariant, first.partition, first.position) == ("I3", partition, position + 1)
    assert f"position {position} is missing" in first.detail


async def test_a_tail_cut_off_below_the_head_is_named(ledger: Ledger, books: Database) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        head = await connection.fetchrow("SELECT partition, position FROM heads ORDER BY position DESC")
        assert head is not None
        partition, position = head
        await connection.execute("DELETE FROM events WHERE (partition, position) = ($1, $2)", partition, position)
    outcome = await verify(ledger.dsn)
    assert ("I3", partition, position - 1) in {(v.invariant, v.partition, v.position) for v in outcome.violations}


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ("UPDATE accounts SET settled = settled + 1 WHERE user_id = 'ben'", "accounts: coins/ben/coins: settled is"),
        ("UPDATE accounts SET facts = '{}' WHERE user_id = 'ben'", "accounts: coins/ben/coins: facts is"),
        ("DELETE FROM accounts WHERE user_id = 'ben'", "accounts: coins/ben/coins: is missing"),
        (
            "INSERT INTO accounts SELECT app, 'eve', asset, partition, version, changed_at, settled, held, owed,"
            " overdraft_used, granted_total, spent_total, due_at, facts FROM accounts WHERE user_id = 'ben'",
            "accounts: coins/eve/coins: is not in the log",
        ),
        ("UPDATE lots SET remaining = remaining + 1 WHERE user_id = 'ben' AND live", "remaining is"),
        ("UPDATE lots SET revoked = 1 WHERE user_id = 'zoe' AND NOT live", "revoked is 1, the log says 0"),
        (
            'UPDATE lots SET cost_basis = \'{"amount_minor": 1, "currency": "EUR"}\' WHERE source = \'paid\'',
            "cost_basis",
        ),
        ("UPDATE holds SET captured = captured + 1 WHERE status = 'captured'", "captured is"),
        ("UPDATE holds SET status = 'open' WHERE status = 'released'", "status is open, the log says released"),
        ("DELETE FROM holds WHERE status = 'expired'", "is missing"),
        ("UPDATE transfers SET status = 'pending' WHERE status = 'returned'", "status is pending"),
        ("UPDATE transfers SET status = 'pending' WHERE status = 'completed'", "I11: @clearing"),
        ("UPDATE transfers SET status = 'completed' WHERE status = 'pending'", "its credit is not in the log"),
        ("DELETE FROM transfers WHERE status = 'pending'", "I11: @clearing"),
        ("UPDATE transfers SET settled_at = now() WHERE status = 'pending'", "the log says None"),
        ("UPDATE transfers SET refusal = 'x' WHERE status = 'completed'", "refusal is x, the log says None"),
        ("UPDATE events SET member = 'x' WHERE user_id = '@app'", "an event of the app in the row of an account"),
        ("UPDATE configs SET document = '{}' WHERE version = 2", "configs: coins, version 2: document is"),
        ("UPDATE heads SET hash = sha256('') WHERE position > 0", "the head's hash"),
        ("UPDATE heads SET epoch = 0 WHERE position > 0", "I8"),
        ("UPDATE texts SET body = 'other'", "is not the one that was written"),
        ("UPDATE texts SET user_id = 'eve'", "belongs to another user"),
        ("UPDATE texts SET event_id = 'event_x'", "texts: event_x: there is no such event"),
        ("DELETE FROM results WHERE command_type = 'charge.refund'", "results: coins/ann/key-"),
        ("UPDATE results SET key = 'other' WHERE command_type = 'hold.release'", "is missing"),
        ("UPDATE results SET body = '{}' WHERE status = 402", "its status is 402, its body says None"),
        ("UPDATE results SET status = 201 WHERE status = 402", "its status is 201, its body says 402"),
        ("UPDATE results SET position = 1000000 WHERE command_type = 'grant'", "that the log does not have"),
    ],
)
async def test_a_changed_table_is_named(ledger: Ledger, books: Database, change: str, named: str) -> None:
    await everything(ledger)
    async with tampering(books) as connection:
        assert await connection.execute(change) not in ("UPDATE 0", "DELETE 0", "INSERT 0 0")
    outcome = await verify(ledger.dsn)
    assert not outcome.ok
    assert any(named in line for line in told(outcome)), told(outcome)


@pytest.fixture
def anchors(tmp_path: Path) -> AnchorPlace:
    generate_key(tmp_path / "keys", "anchor")
    write_jwks(tmp_path / "keys", tmp_path / "keys" / "jwks.json")
    return AnchorPlace(tmp_path / "anchors", read_jwks(tmp_path / "keys" / "jwks.json"))


async def anchored(ledger: Ledger, place: AnchorPlace) -> None:
    assert await anchor_once(ledger.pool, place.directory, place.directory.parent / "keys" / "anchor.pem")


async def cut_tail(connection: Connection, partition: int, events: int) -> None:
    """Take the last events away so well that the database alone does not show it; nothing projected came of them."""
    for _ in range(events):
        await connection.execute(
            "DELETE FROM events e USING heads h"
            " WHERE h.partition = $1 AND e.partition = $1 AND e.position = h.position",
            partition,
        )
        await connection.execute(
            "DELETE FROM results r USING heads h"
            " WHERE h.partition = $1 AND r.partition = $1 AND r.position = h.position",
            partition,
        )
        await connection.execute(
            "UPDATE heads h SET position = e.position, hash = e.hash FROM events e"
            " WHERE h.partition = $1 AND e.partition = $1 AND e.position = h.position - 1",
            partition,
        )


async def refused(ledger: Ledger, times: int) -> int:
    """Events that change no table: commands refused by Kafka; the partition of them."""
    for _ in range(times):
        await ledger.do("charge", "nobody", amount=1, door="kafka")
    row = await ledger.pool.fetchrow("SELECT partition FROM events WHERE type = 'ledger.command_refused.v1'")
    assert row is not None
    partition: int = row["partition"]
    return partition


async def test_anchors_of_a_sound_log_agree(ledger: Ledger, anchors: AnchorPlace) -> None:
    await everything(ledger)
    await anchored(ledger, anchors)
    await ledger.do("grant", "ann", amount=1)
    await anchored(ledger, anchors)
    outcome = await verify(ledger.dsn, anchors=anchors)
    assert told(outcome) == []
    assert outcome.anchors == 2


async def test_a_cut_tail_is_found_by_anchors_alone(ledger: Ledger, books: Database, anchors: AnchorPlace) -> None:
    partition = await refused(ledger, 5)
    await anchored(ledger, anchors)
    async with tampering(books) as connection:
        await cut_tail(connection, partition, 2)
    assert (await verify(ledger.dsn)).ok, "the database alone looks sound"
    outcome = await verify(ledger.dsn, anchors=anchors)
    assert [(v.invariant, v.partition) for v in outcome.violations] == [("I4", partition)]
    assert "tail is missing" in told(outcome)[0]


async def test_an_old_copy_that_went_on_is_found(ledger: Ledger, books: Database, anchors: AnchorPlace) -> None:
    partition = await refused(ledger, 5)
    await anchored(ledger, anchors)
    async with tampering(books) as connection:
        await cut_tail(connection, partition, 2)
        await connection.execute("UPDATE heads SET epoch = epoch + 1")
    await refused(ledger, 4)
    assert (await verify(ledger.dsn)).ok, "the database alone looks sound"
    outcome = await verify(ledger.dsn, anchors=anchors)
    position = (await ledger.pool.fetchval("SELECT position FROM heads WHERE partition = $1", partition)) - 2
    assert [(v.invariant, v.partition, v.position) for v in outcome.violations] == [("I4", partition, position)]


async def test_a_restore_that_is_declared_is_no_violation(
    ledger: Ledger, books: Database, anchors: AnchorPlace
) -> None:
    partition = await refused(ledger, 5)
    await anchored(ledger, anchors)
    async with tampering(books) as connection:
        await cut_tail(connection, partition, 2)
        await renew_stream(connection)
        await connection.execute("UPDATE heads SET epoch = epoch + 1")
    await refused(ledger, 4)
    await anchored(ledger, anchors)
    assert told(await verify(ledger.dsn, anchors=anchors)) == []
    async with tampering(books) as connection:
        await cut_tail(connection, partition, 1)
    assert not (await verify(ledger.dsn, anchors=anchors)).ok


async def test_a_forged_anchor_is_named(ledger: Ledger, anchors: AnchorPlace) -> None:
    await refused(ledger, 1)
    await anchored(ledger, anchors)
    (file,) = anchors.directory.glob("*.jsonl")
    file.write_text(file.read_text().replace('"heads":[[0', '"heads":[[1'))
    assert "its signature is wrong" in told(await verify(ledger.dsn, anchors=anchors))[0]
    stranger = AnchorPlace(anchors.directory, {})
    assert "signed by a key that is not known" in told(await verify(ledger.dsn, anchors=stranger))[0]


async def test_a_line_cut_by_a_crash_is_passed_over(ledger: Ledger, anchors: AnchorPlace) -> None:
    await refused(ledger, 1)
    await anchored(ledger, anchors)
    (file,) = anchors.directory.glob("*.jsonl")
    file.write_bytes(file.read_bytes()[:-40])
    await refused(ledger, 1)
    await anchored(ledger, anchors)
    outcome = await verify(ledger.dsn, anchors=anchors)
    assert outcome.ok
    assert outcome.anchors == 1
    assert outcome.notes == ["1 unreadable lines among the anchors were passed over"]
