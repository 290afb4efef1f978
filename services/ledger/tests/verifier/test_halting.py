"""A violation stops the writes of the shard, and nothing else somebody says why they may go on."""

from __future__ import annotations

from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from libs.events.partition import partition_of
from libs.service.db import Connection, connect
from libs.service.keys import generate_key, write_jwks
from services.ledger.anchors import anchor_once
from services.ledger.store.violations import Found, clear, record, recorded
from services.ledger.tests.support import APP, PARTITIONS, Ledger
from services.ledger.tests.truth.scenario import everything
from services.ledger.tests.truth.test_verify import cut_tail, refused, tampering
from services.ledger.tests.verifier.support import counted, refusal, sample, verifying
from services.ledger.verify.state import State, StateInUseError
from tests.plugins.postgres import Database
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


async def resume(books: Database, reason: str = "looked into") -> int:
    """What `tallystick ledger resume` does."""
    connection = await connect(books.owner_dsn, application_name="resume")
    try:
        return await clear(connection, None, "a test", reason)
    finally:
        await connection.close()


async def test_a_violation_stops_writes_until_it_is_cleared(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    """503 `read_only` with the invariant and its place; a new leader refuses too; cleared and mended, it goes on."""
    await ledger.do("grant", "ann", amount=100)
    key = "asked before"
    first = await ledger.do("charge", "ann", amount=10, key=key)
    async with verifying(books, tmp_path) as verifier:
        await verifier.catches_up()
        async with tampering(books) as connection:
            await connection.execute("UPDATE accounts SET settled = settled + 1 WHERE user_id = 'ann'")
        ((_, partition, _),) = await verifier.finds("I5")
        problem = await refusal(ledger)
        assert problem.status == 503
        assert f"invariant I5 is violated of partition {partition}" in problem.detail
        assert REGISTRY.get_sample_value("ledger_halted") == 1
        head = await ledger.pool.fetchval("SELECT sum(position) FROM heads")
        before = await ledger.writer()
        await ledger.pool.execute("UPDATE shards SET holder = ''")

        async def leads_again() -> bool:
            return ledger.leader.writer not in (None, before)

        await eventually(leads_again)
        assert (await refusal(ledger)).code == "read_only"
        assert await ledger.pool.fetchval("SELECT sum(position) FROM heads") == head
        # Cleared without being mended, it is found again.
        assert await resume(books) == 1
        assert [one[0] for one in await verifier.finds("I5")] == ["I5"]
        async with tampering(books) as connection:
            await connection.execute("UPDATE accounts SET settled = settled - 1 WHERE user_id = 'ann'")
        await verifier.patrols()
        await resume(books, "rebuilt")
        assert (await ledger.do("charge", "ann", amount=10)).status == 201
        again = await ledger.do("charge", "ann", amount=10, key=key)
        assert again.body == first.body or again.status == 422
        await verifier.catches_up()
        assert await verifier.found() == []
        told = await recorded(verifier.pool, cleared=True)
        assert [(one.cleared_by, one.reason) for one in told] == [("a test", "looked into"), ("a test", "rebuilt")]


async def test_only_the_shard_that_owns_the_partition_is_stopped(ledger: Ledger, books: Database) -> None:
    """Partition 3 belongs to another shard; what belongs to none concerns all."""
    async with tampering(books) as connection:
        await connection.execute("UPDATE heads SET shard = 'other', epoch = epoch + 1 WHERE partition = 3")
    await record(ledger.pool, [Found("I5", 3, None, "elsewhere")], "a test")
    user = next(name for name in map(str, range(100)) if partition_of(APP, name, PARTITIONS) != 3)
    assert (await ledger.do("grant", user, amount=1)).status == 201
    await record(ledger.pool, [Found("I11", None, None, "all of them")], "a test")
    assert "I11" in (await refusal(ledger)).detail


async def test_an_effect_whose_outcome_is_not_kept_is_found(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    """I6: a repeat under the key would be done again."""
    async with verifying(books, tmp_path) as verifier:
        await verifier.catches_up()
        await _losing_outcomes(books)
        done = await ledger.do("grant", "ann", amount=100)
        ((_, partition, position),) = await verifier.finds("I6")
        assert (partition, position) == (done.body["partition"], done.body["position"])


async def _losing_outcomes(books: Database) -> None:
    connection = await connect(books.owner_dsn, application_name="harm")
    try:
        await connection.execute(
            "CREATE FUNCTION lose() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
            "CREATE TRIGGER lose BEFORE INSERT ON results FOR EACH ROW EXECUTE FUNCTION lose()"
        )
    finally:
        await connection.close()


async def test_a_log_that_was_cleared_is_not_told_again(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    """Nobody can mend a log; what is known of it must not stop the writes at every restart."""
    await everything(ledger)
    async with tampering(books) as connection:
        await connection.execute("UPDATE events SET actor = 'x' WHERE type = 'ledger.hold_released.v1'")
    async with verifying(books, tmp_path) as verifier:
        await verifier.finds("I4")
        await verifier.patrols()
        await resume(books)
        await verifier.patrols()
        assert await verifier.found() == []
    async with verifying(books, tmp_path, name="from the beginning") as verifier:
        await verifier.catches_up()
        await verifier.patrols()
        assert await verifier.found() == []


async def test_a_restart_goes_on_where_it_was(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    """What is in the file is not read again; a file that is lost or spoilt costs a look at everything."""
    await everything(ledger)
    async with verifying(books, tmp_path) as verifier:
        await verifier.catches_up()
        position = sum(verifier.verifier.verified.values())
    assert sample("ledger_verified_position", shard="0") == position
    state = State(tmp_path / "verifier.sqlite")
    assert sum(state.place(partition)[0].position for partition in range(4)) == position
    with pytest.raises(StateInUseError, match="another verifier"):
        State(tmp_path / "verifier.sqlite")
    state.close()
    await ledger.do("grant", "ann", amount=100)
    async with verifying(books, tmp_path, events_max=1) as verifier:
        await verifier.catches_up()
        await verifier.patrols()
        assert await verifier.details() == []
    (tmp_path / "verifier.sqlite").write_bytes(b"spoilt" * 1000)
    async with verifying(books, tmp_path) as verifier:
        await verifier.catches_up()
        assert sum(verifier.verifier.verified.values()) > position
        assert await verifier.details() == []


async def test_two_verifiers_record_a_violation_once(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    await everything(ledger)
    before = counted()
    async with verifying(books, tmp_path, name="one") as one, verifying(books, tmp_path, name="two") as two:
        await one.catches_up()
        async with tampering(books) as connection:
            await connection.execute("UPDATE accounts SET settled = settled + 1 WHERE user_id = 'ben'")
        await one.finds("I5")
        await one.patrols()
        await two.patrols()
        assert len(await one.found()) == 1
    assert counted()["I5"] == before["I5"] + 1


async def test_a_cut_tail_is_found(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    """I3: the verifier knows how far the log went, even where the database itself shows nothing."""
    partition = await refused(ledger, 5)
    async with verifying(books, tmp_path) as verifier:
        await verifier.catches_up()
        async with tampering(books) as connection, connection.transaction():
            await cut_tail(connection, partition, 2)
        end = await ledger.pool.fetchval("SELECT position FROM heads WHERE partition = $1", partition)
        assert ("I3", partition, end) in await verifier.finds("I3")


async def test_what_an_anchor_saw_is_looked_for(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    """I4: an old copy that went on, seen by a verifier that never saw the log before."""
    generate_key(tmp_path / "keys", "anchor")
    write_jwks(tmp_path / "keys", tmp_path / "keys" / "jwks.json")
    partition = await refused(ledger, 5)
    assert await anchor_once(ledger.pool, tmp_path / "anchors", tmp_path / "keys" / "anchor.pem")
    async with verifying(books, tmp_path, name="sound") as verifier:
        await verifier.catches_up()
        await verifier.patrols()
        assert await verifier.details() == []
    async with tampering(books) as connection:
        await cut_tail(connection, partition, 2)
    async with verifying(books, tmp_path, name="cut") as verifier:
        await verifier.finds("I4")
        assert any("its tail is missing" in line for line in await verifier.details())
    await resume(books)
    await _refuse_more(ledger, books)
    position = (await ledger.pool.fetchval("SELECT position FROM heads WHERE partition = $1", partition)) - 2
    async with verifying(books, tmp_path, name="went on") as verifier:
        assert ("I4", partition, position) in await verifier.finds("I4")


async def _refuse_more(ledger: Ledger, books: Database) -> None:
    async with tampering(books) as connection:
        await _fence(connection)
    await refused(ledger, 4)


async def _fence(connection: Connection) -> None:
    await connection.execute("UPDATE heads SET epoch = epoch + 1")
