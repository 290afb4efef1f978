"""I4 and I5: whichever value of the books is falsified, `verify` finds it; an event is named by its position."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from tests.plugins.postgres import Database
from tests.reliability import write_figures
from tests.tamper.columns import BESIDE, BOOKS, UNPROVEN, Column, columns, falsify, restore
from tests.tamper.world import attacker, first, proven, told

pytestmark = pytest.mark.anyio

MOVED = ("partition", "position")
TRIALS_MIN = 30


async def trials(books: Database, chance: random.Random, rounds: int, seconds: float) -> Counter[str]:
    """Falsify a value of every column in turn, so often, or until the time is over; how often in each table."""
    counted: Counter[str] = Counter()
    end = time.monotonic() + seconds
    async with attacker(books) as connection:
        assert told(await proven(books)) == []
        every = await columns(connection)
        chance.shuffle(every)
        for number in range(rounds * len(every)):
            if time.monotonic() > end and number >= TRIALS_MIN:
                break
            column = every[number % len(every)]
            done = await falsify(connection, column, chance)
            outcome = await proven(books)
            assert not outcome.ok, f"{column} of {done.row} went from {done.before!r} to {done.after!r}"
            if column.table == "events":
                found = first(outcome)
                where = (found.partition, found.position)
                assert column.name in MOVED or where == (done.partition, done.position), (done, told(outcome))
                assert found.position is not None, (done, told(outcome))
            elif column.table not in ("heads", "deployment"):
                assert any(f"{column.table}: " in line or "I11: " in line for line in told(outcome)), (
                    done,
                    told(outcome),
                )
            counted[column.table] += 1
            await restore(connection, done)
        assert told(await proven(books)) == []
    return counted


async def test_every_column_is_proven_or_named(books: Database) -> None:
    async with attacker(books) as connection:
        rows = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        assert {row["tablename"] for row in rows} == {*BOOKS, *BESIDE}
        assert not {Column(*place, "") for place in UNPROVEN} & set(await columns(connection))


async def test_a_falsified_value_is_found(books: Database) -> None:
    """Of every column, as far as some seconds reach; the longer trial goes through all of them many times."""
    counted = await trials(books, random.Random(1), rounds=1, seconds=10)  # noqa: S311
    assert counted.total() >= TRIALS_MIN


@pytest.mark.campaign
@pytest.mark.timeout(900)
async def test_falsified_values_are_found(books: Database) -> None:
    seed = time.time_ns() % 1_000_000
    began = time.monotonic()
    counted = await trials(books, random.Random(seed), rounds=1000, seconds=90)  # noqa: S311
    figures = {"seed": seed, "falsified": counted.total(), "found": counted.total(), "by_table": dict(counted)}
    write_figures("tamper", figures, began)
