"""A write happens once under its key: what a repeat gets, and what undoes what."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from libs.service.db import AnyConnection, Pool, create_pool
from libs.service.migrations import RECORDS_SOURCE, migrate
from libs.service.once import KeyReused, Result, Wish, amend, forget, once
from libs.service.problems import Overloaded, Problem
from tests.plugins.postgres import Database, DatabaseFrom

pytestmark = pytest.mark.anyio

WISH = Wish("shop", "backend", "key", b"one")
DONE = Result(201, b'{"id": 1}')


async def prepare(database: Database) -> None:
    await migrate(database.owner_dsn, [RECORDS_SOURCE], database.runtime)


@pytest.fixture
async def pool(database_from: DatabaseFrom) -> AsyncIterator[Pool]:
    """The records of a service, as its runtime role."""
    database = await database_from("records", prepare)
    async with await create_pool(database.runtime_dsn, application_name="test") as made:
        yield made


class Effect:
    """Takes a configuration's place in the table beside, and answers; `raises` after that, where it is given."""

    def __init__(self, raises: Exception | None = None) -> None:
        self.raises = raises
        self.times = 0
        self.begun = asyncio.Event()
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def __call__(self, connection: AnyConnection) -> Result:
        self.times += 1
        self.begun.set()
        await connection.execute("INSERT INTO configs VALUES ('shop', 1, '{}', 0, 'test')")
        await self.go_on.wait()
        if self.raises is not None:
            raise self.raises
        return DONE


async def effects(pool: Pool) -> int:
    """How many effects are there."""
    return int(await pool.fetchval("SELECT count(*) FROM configs"))


async def test_a_repeat_gets_the_first_answer(pool: Pool) -> None:
    effect = Effect()
    assert await once(pool, WISH, effect) == DONE
    assert await once(pool, WISH, effect) == replace(DONE, replayed=True)
    assert effect.times == await effects(pool) == 1


async def test_a_repeat_that_comes_meanwhile_waits_for_the_first(pool: Pool) -> None:
    effect = Effect()
    effect.go_on.clear()
    first = asyncio.create_task(once(pool, WISH, effect))
    await effect.begun.wait()
    second = asyncio.create_task(once(pool, WISH, effect))
    await asyncio.sleep(0.05)
    assert not second.done()
    effect.go_on.set()
    assert await first == DONE
    assert await second == replace(DONE, replayed=True)
    assert effect.times == 1


async def test_another_request_under_the_key_is_refused(pool: Pool) -> None:
    await once(pool, WISH, Effect())
    with pytest.raises(KeyReused):
        await once(pool, replace(WISH, fingerprint=b"two"), Effect())


@pytest.mark.parametrize("other", [{"app": "other"}, {"caller": "other"}, {"key": "other"}], ids=str)
async def test_keys_belong_to_their_app_and_caller(pool: Pool, other: dict[str, str]) -> None:
    await once(pool, WISH, Effect(Problem("No.", status=409, code="taken")))
    assert await once(pool, replace(WISH, **other, fingerprint=b"two"), Effect()) == DONE


@pytest.mark.parametrize("status", [402, 404, 409])
async def test_a_decided_refusal_undoes_the_effect_and_is_kept(pool: Pool, status: int) -> None:
    refused = Effect(Problem("No.", status=status, code="taken"))
    first = await once(pool, WISH, refused)
    assert (first.status, first.replayed) == (status, False)
    assert b'"code":"taken"' in first.body
    assert await once(pool, WISH, Effect()) == replace(first, replayed=True)
    assert await effects(pool) == 0


@pytest.mark.parametrize("error", [Overloaded(), RuntimeError("lost")], ids=repr)
async def test_what_was_not_decided_is_not_kept(pool: Pool, error: Exception) -> None:
    with pytest.raises(type(error)):
        await once(pool, WISH, Effect(error))
    assert await effects(pool) == 0
    assert await once(pool, WISH, Effect()) == DONE


async def test_a_provisional_answer_is_replaced(pool: Pool) -> None:
    await once(pool, WISH, Effect())
    later = Result(200, b"{}")
    await amend(pool, WISH, later)
    assert await once(pool, WISH, Effect()) == replace(later, replayed=True)


async def test_old_answers_are_forgotten(pool: Pool) -> None:
    await once(pool, WISH, Effect(Problem("No.", status=409, code="taken")))
    assert await forget(pool) == 0
    await pool.execute("UPDATE results SET created_at = now() - interval '36 days'")
    assert await forget(pool) == 1
    assert await once(pool, WISH, Effect()) == DONE
