"""The compare-and-set of an append: what safety rests on, whoever believes to be the writer."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from libs.service.db import Connection, connect
from services.ledger.store.append import FencedError, Rows, append, parameters
from services.ledger.store.heads import Head, take_over
from services.ledger.tests.support import SHARD
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio


async def _heads(connection: Connection) -> dict[int, Head]:
    return await take_over(connection, SHARD, "a test", "")


async def _append(connection: Connection, before: Head, by: int = 1) -> None:
    """Move a head on from where `before` believes it, as a batch of `by` events would."""
    after = replace(before, position=before.position + by, hash=bytes(32))
    await append(connection, parameters(Rows(heads=[(before, after)])))


@pytest.fixture
async def connection(books: Database) -> AsyncIterator[Connection]:
    """A connection of the runtime role."""
    made = await connect(books.runtime_dsn, application_name="ledger-writer")
    yield made
    await made.close()


async def test_a_head_that_is_elsewhere_is_not_moved(connection: Connection) -> None:
    """I3: neither a writer that lags behind nor one that is ahead of the log may append."""
    heads = await _heads(connection)
    head = heads[0]
    await _append(connection, head, by=3)
    for believed in (head.position, head.position + 2, head.position + 4):
        with pytest.raises(FencedError):
            await _append(connection, replace(head, position=believed))
    assert await connection.fetchval("SELECT position FROM heads WHERE partition = 0") == head.position + 3
    await _append(connection, replace(head, position=head.position + 3))


async def test_one_stale_head_spoils_the_whole_batch(connection: Connection) -> None:
    """I3, I8: a batch over several partitions is written whole or not at all."""
    heads = await _heads(connection)
    stale = [replace(heads[0]), replace(heads[1], epoch=heads[1].epoch - 1)]
    pairs = [(before, replace(before, position=before.position + 1)) for before in stale]
    with pytest.raises(FencedError):
        await append(connection, parameters(Rows(heads=pairs)))
    assert await connection.fetchval("SELECT sum(position) FROM heads") == sum(h.position for h in heads.values())


async def test_a_partition_that_is_not_there_is_not_written(connection: Connection) -> None:
    with pytest.raises(FencedError):
        await _append(connection, Head(99, 0, bytes(32), 1, 0))


async def test_whoever_takes_over_raises_every_epoch(connection: Connection) -> None:
    """I8: epochs rise with each take-over and never fall."""
    first = await _heads(connection)
    second = await _heads(connection)
    assert {n: head.epoch for n, head in second.items()} == {n: head.epoch + 1 for n, head in first.items()}
    with pytest.raises(FencedError):
        await _append(connection, first[0])
