"""The simulated database against the real one: what runs have asked it is asked of PostgreSQL, in the same order."""

from __future__ import annotations

import asyncio
from typing import Any

import asyncpg
import orjson
import pytest

from libs.service.db import Connection, connect
from services.ledger.store import setup
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database
from tests.sim.database import Script
from tests.sim.statements import RECORD_EFFECTS
from tests.sim.tables import STREAM, Row, Tables
from tests.sim.world import World, simulate

_JSON = ("card", "cost_basis", "origin", "slices", "usage")


def _plain(answer: Any, names: list[str] | None = None) -> Any:
    """An answer so that two can be compared: JSON read, rows by name in a fixed order."""
    if not isinstance(answer, list):
        return getattr(answer, "sqlstate", answer)
    rows = []
    for row in answer:
        given = dict(row.items())
        plain = {name: given[name] for name in names or given}
        for name in _JSON:
            if plain.get(name) is not None:
                plain[name] = orjson.loads(plain[name])
        if "invariant" in plain:
            # Runs say that the books are wrong by a switch, of which PostgreSQL knows nothing.
            plain["invariant"] = None
        rows.append(plain)
    return sorted(rows, key=repr)


async def _ask(connection: Connection, sql: str, args: Any, expected: Any) -> Any:
    try:
        if isinstance(expected, list):
            return await connection.fetch(sql, *args)
        return await connection.execute(sql, *args)
    except asyncpg.PostgresError as error:
        return error


@pytest.mark.parametrize("seed", [1, 3, 14, 15])
def test_postgresql_answers_the_same(database: Database, seed: int) -> None:
    """Every read, every refused append and every transaction of a run, one after another."""
    scripts: list[Script] = []
    worlds: list[World] = []

    def told(world: World) -> None:
        worlds.append(world)
        world.database.on_script = lambda script: scripts.append(list(script))

    assert not simulate(seed, told=told).violations
    asyncio.run(_compare(database, worlds[0].tables, scripts))


async def _compare(database: Database, tables: Tables, scripts: list[Script]) -> None:
    await setup.prepare(database.owner_dsn, database.runtime, len(tables.heads), ["0"])
    owner = await connect(database.owner_dsn, application_name="test")
    await owner.execute("UPDATE outbox_streams SET stream = $1", STREAM)
    for number, head in tables.heads.items():
        await owner.execute("UPDATE heads SET shard = $2 WHERE partition = $1", number, head.shard)
    await owner.close()
    connection = await connect(database.runtime_dsn, application_name="test")
    try:
        asked = sum([await _replay(connection, script) for script in scripts])
        heads = await connection.fetch("SELECT partition, position, hash, epoch FROM heads")
        results = await connection.fetchval("SELECT count(*) FROM results")
        cursors = await connection.fetch("SELECT cluster_id, topic, partition, next_offset FROM command_cursors")
    finally:
        await connection.close()
    assert asked > 50
    assert {row["partition"]: (row["position"], row["hash"], row["epoch"]) for row in heads} == {
        head.partition: (head.position, head.hash, head.epoch) for head in tables.heads.values()
    }
    assert results == len(tables.results)
    assert {(row[0], row[1], row[2]): row[3] for row in cursors} == tables.cursors
    verification = await verify(database.owner_dsn)
    assert verification.ok, verification.violations


async def _replay(connection: Connection, script: Script) -> int:
    """One transaction, compared statement by statement; how many there were."""
    statements = [one for one in script if one[0] != RECORD_EFFECTS and "pg_stat_activity" not in one[0]]
    transaction = connection.transaction()
    await transaction.start()
    for sql, args, expected in statements:
        found = await _ask(connection, sql, args, expected)
        names = list(found[0].keys()) if isinstance(found, list) and found else None
        assert _plain(found) == _plain(expected, names), sql
    if any(isinstance(answer, Exception) for _, _, answer in statements):
        await transaction.rollback()
    else:
        await transaction.commit()
    return len(statements)


def test_a_row_reads_as_a_record() -> None:
    """By name, in order, and as a dictionary."""
    row = Row(one=1, two=2)
    assert row["two"] == 2
    assert [*row] == [1, 2]
    assert {**row} == dict(row) == {"one": 1, "two": 2}
