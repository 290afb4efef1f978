"""I4 and C12: what a database cannot say of itself: its tail is cut, or it is an old copy. Anchors and Kafka notice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import orjson
import pytest

from libs.events.bus import Bus
from libs.events.relay import LogBehindError, Relay
from libs.service.db import Pool, create_pool
from libs.service.keys import generate_key
from services.ledger.anchors import AnchorPlace, anchor_once, keep_anchoring
from services.ledger.store.log_source import LedgerLog
from services.ledger.tests.kafka.world import topics
from services.ledger.tests.support import PARTITIONS, Ledger, ledger_on
from tests.plugins.kafka import SharedEmbedded
from tests.plugins.postgres import Database, DatabaseFrom
from tests.tamper.world import attacker, cut_tail, first, proven, quiet_partition, told, write_history
from tests.waiting import eventually

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def pool_of(books: Database) -> AsyncIterator[Pool]:
    pool = await create_pool(books.runtime_dsn, application_name="ledger")
    try:
        yield pool
    finally:
        await pool.close()


async def anchor(books: Database, place: AnchorPlace) -> None:
    async with pool_of(books) as pool:
        await anchor_once(pool, place.directory, place.directory.parent / "keys" / "anchor.pem")


def lines(place: AnchorPlace) -> list[bytes]:
    (file,) = place.directory.glob("*.jsonl")
    return file.read_bytes().splitlines(keepends=True)


def put(place: AnchorPlace, kept: list[bytes]) -> None:
    (file,) = place.directory.glob("*.jsonl")
    file.write_bytes(b"".join(kept))


async def work(ledger: Ledger, times: int) -> None:
    """Something that goes on in every partition."""
    for number in range(times):
        await ledger.do("grant", f"user{number}", amount=1)


async def test_a_cut_tail_is_noticed_by_anchors_alone(books: Database, anchors: AnchorPlace) -> None:
    await anchor(books, anchors)
    async with attacker(books) as connection:
        partition = await quiet_partition(connection)
        head: int = await connection.fetchval("SELECT position FROM heads WHERE partition = $1", partition)
        await cut_tail(connection, partition, 2)
    assert told(await proven(books)) == [], "the database alone looks sound"
    found = first(await proven(books, anchors))
    assert (found.invariant, found.partition, found.position) == ("I4", partition, head - 2)
    assert f"an anchor saw position {head}" in found.detail


async def test_an_old_copy_that_works_on_is_noticed(
    books: Database, database_from: DatabaseFrom, anchors: AnchorPlace
) -> None:
    """The copy of an hour ago is put in the place of the database, and goes on as if nothing were."""
    copy = await database_from("tamper", write_history)
    async with ledger_on(books) as ledger:
        await work(ledger, 20)
    await anchor(books, anchors)
    assert told(await proven(books, anchors)) == []
    assert told(await proven(copy)) == [], "a copy is sound in itself"
    found = [each for each in (await proven(copy, anchors)).violations if "its tail is missing" in each.detail]
    assert len(found) == PARTITIONS
    async with ledger_on(copy) as ledger:
        await work(ledger, 60)
    assert told(await proven(copy)) == []
    outcome = await proven(copy, anchors)
    assert {each.partition for each in outcome.violations} == set(range(PARTITIONS))
    assert all("an anchor saw another hash" in each.detail for each in outcome.violations)


async def test_the_relay_publishes_nothing_of_an_old_copy(
    books: Database,
    database_from: DatabaseFrom,
    embedded_broker: SharedEmbedded,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    copy = await database_from("tamper", write_history)
    _, events = topics()
    monkeypatch.setattr("services.ledger.store.log_source.EVENTS_TOPIC", events)
    await embedded_broker.create_topics({events: PARTITIONS})
    async with Bus(embedded_broker.bootstrap, {events: PARTITIONS}, timeout_s=5.0) as bus:

        def relay(pool: Pool) -> Relay:
            return Relay(LedgerLog(pool), pool, bus, {events: PARTITIONS}, poll_s=0.01)

        async with ledger_on(books) as ledger:
            await work(ledger, 20)
        async with pool_of(books) as pool:
            publishing = asyncio.create_task(relay(pool).run())

            async def published() -> bool:
                query = "SELECT bool_and(c.seq = h.position) FROM heads h JOIN relay_checkpoints c USING (partition)"
                return await pool.fetchval(query + " WHERE topic = $1", events) is True

            await eventually(published, "everything is published")
            publishing.cancel()
            await asyncio.gather(publishing, return_exceptions=True)
        ends = await bus.end_offsets(events, list(range(PARTITIONS)))
        async with pool_of(copy) as pool:
            with pytest.raises(LogBehindError, match="Kafka has seen"):
                await relay(pool).run()
        assert await bus.end_offsets(events, list(range(PARTITIONS))) == ends


@pytest.fixture
async def anchored(books: Database, anchors: AnchorPlace) -> AnchorPlace:
    """Three anchors of a log that went on between them."""
    async with ledger_on(books) as ledger:
        for _ in range(3):
            await work(ledger, 4)
            await anchor(books, anchors)
    assert len(lines(anchors)) == 3
    outcome = await proven(books, anchors)
    assert (told(outcome), outcome.anchors) == ([], 3)
    return anchors


async def test_an_edited_anchor_is_noticed(books: Database, anchored: AnchorPlace) -> None:
    every = lines(anchored)
    edited = orjson.loads(every[1])
    edited["heads"][0][1] -= 1
    put(anchored, [every[0], orjson.dumps(edited) + b"\n", every[2]])
    assert told(await proven(books, anchored)) == [
        f"I4: anchors: {file_of(anchored)}, line 2: its signature is wrong",
        f"I4: anchors: {file_of(anchored)}, line 3: the anchor before it is missing, or is not as it was",
    ]


def file_of(place: AnchorPlace) -> str:
    (file,) = place.directory.glob("*.jsonl")
    return file.name


async def test_an_anchor_that_was_taken_away_is_missed(books: Database, anchored: AnchorPlace) -> None:
    every = lines(anchored)
    put(anchored, [every[0], every[2]])
    assert "line 2: the anchor before it is missing" in told(await proven(books, anchored))[0]
    # Older ones may have been put away; every later one covers what they did.
    put(anchored, every[1:])
    assert told(await proven(books, anchored)) == []


@pytest.mark.parametrize("how", ["the file", "the last line"])
async def test_a_running_ledger_misses_the_last_anchor(books: Database, anchored: AnchorPlace, how: str) -> None:
    key = anchored.directory.parent / "keys" / "anchor.pem"
    async with ledger_on(books) as ledger:
        await work(ledger, 1)
        anchoring = asyncio.create_task(keep_anchoring(ledger.pool, anchored.directory, key, interval_s=0.05))

        async def written(number: int) -> None:
            async def so_many() -> bool:
                files = list(anchored.directory.glob("*.jsonl"))
                return len(files) == 1 and len(lines(anchored)) == number

            await eventually(so_many, f"{number} anchors")

        await written(4)
        if how == "the file":
            (file,) = anchored.directory.glob("*.jsonl")
            file.unlink()
        else:
            put(anchored, lines(anchored)[:3])
        await work(ledger, 1)
        await written(1 if how == "the file" else 4)
        await work(ledger, 1)
        await written(2 if how == "the file" else 5)
        anchoring.cancel()
        await asyncio.gather(anchoring, return_exceptions=True)
    outcome = await proven(books, anchored)
    if how == "the last line":
        assert "line 4: the anchor before it is missing" in told(outcome)[0]
    else:
        assert outcome.anchors == 2
        assert any("follows one that is not there" in note for note in outcome.notes)


async def test_an_anchor_by_a_stranger_is_noticed(books: Database, anchors: AnchorPlace, tmp_path: Path) -> None:
    stranger = generate_key(tmp_path / "other", "stranger")
    async with pool_of(books) as pool:
        await anchor_once(pool, anchors.directory, stranger)
    assert "it is signed by a key that is not known" in told(await proven(books, anchors))[0]
    # The same name does not help.
    impostor = generate_key(tmp_path / "impostor", "anchor")
    put(anchors, [])
    async with pool_of(books) as pool:
        await anchor_once(pool, anchors.directory, impostor)
    assert "its signature is wrong" in told(await proven(books, anchors))[0]
