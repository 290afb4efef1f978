"""The writer is killed under a stream of commands: each is decided once, without anybody sending it again."""

from __future__ import annotations

import asyncio
import contextlib
import random

import asyncpg
import pytest

from libs.events.contracts.base import Contract
from libs.events.contracts.ledger import commands as c
from libs.events.envelope import Envelope
from libs.events.partition import partition_of
from services.ledger.rebuild import rebuild
from services.ledger.tests.kafka.world import World, changed, without
from services.ledger.tests.support import APP, PARTITIONS, Ledger
from services.ledger.verify.run import verify

# The driver loses a connection whose making is cancelled; only the collector closes it.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

USERS = [f"user{number}" for number in range(6)]
COMMANDS = 300
LIVES = {"embedded": 8, "kafka": 4}


@pytest.mark.parametrize("seed", [1, 2])
async def test_every_command_has_one_outcome_when_the_writer_dies(world: World, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    sent: dict[str, Envelope] = {}
    unreadable = 0

    async def send() -> None:
        nonlocal unreadable
        while len(sent) < COMMANDS:
            user = chance.choice(USERS)
            commands: list[Contract] = [
                c.GrantCredits(user=user, amount="3"),
                c.ChargeCredits(user=user, amount="2"),
                c.ChargeCredits(user=user, amount="1", unique_ref=f"ref{chance.randrange(20)}"),
                c.AdjustBalance(user="another", amount="1", reason="x"),
            ]
            envelope = world.command(chance.choice(commands), user)
            if chance.random() < 0.05:
                envelope = changed(envelope, idempotency_key=None)
            if chance.random() < 0.05:
                unreadable += 1
                partition = partition_of(APP, user, PARTITIONS)
                await world.put(partition, envelope.key, without(envelope, "ce_id"), envelope.data)
                continue
            sent[envelope.id] = envelope
            await world.publish(envelope)
            await asyncio.sleep(chance.uniform(0, 0.01))

    async def cut(admin: asyncpg.Connection) -> None:
        """Connections of the ledger, some of them, at any moment."""
        while True:
            await asyncio.sleep(chance.uniform(0.01, 0.2))
            await admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database()"
                " AND application_name LIKE 'ledger%' AND random() < 0.5"
            )

    admin = await asyncpg.connect(world.books.admin_dsn)
    sending = asyncio.create_task(send())
    cutting = asyncio.create_task(cut(admin))
    try:
        for _ in range(LIVES[world.kind]):
            with contextlib.suppress(asyncpg.PostgresConnectionError, asyncpg.InterfaceError, OSError):
                async with world.ledger():
                    await asyncio.sleep(chance.uniform(0.05, 0.6))
    finally:
        cutting.cancel()
        await asyncio.gather(cutting, return_exceptions=True)
        await sending
        await admin.close()
    async with world.ledger() as ledger:
        for partition in range(PARTITIONS):
            await world.passed(ledger, partition)
        await _each_once(world, ledger, sent)
        assert await ledger.pool.fetchval("SELECT count(*) FROM dead_letters") == unreadable
        assert (await verify(ledger.dsn)).violations == []
    assert (await rebuild(world.books.owner_dsn)).difference_count == 0


async def _each_once(world: World, ledger: Ledger, sent: dict[str, Envelope]) -> None:
    """Every command has one transaction in the log, and the log is in the order in which each user's were sent."""
    transactions: dict[str, set[str]] = {}
    order: dict[str, list[str]] = {}
    for told in await world.told(ledger):
        if told.cause in sent and told.transaction not in transactions.setdefault(told.cause, set()):
            transactions[told.cause].add(told.transaction)
            order.setdefault(sent[told.cause].subject, []).append(told.cause)
    assert {cause: len(each) for cause, each in transactions.items()} == dict.fromkeys(sent, 1)
    for user, causes in order.items():
        assert causes == [one.id for one in sent.values() if one.subject == user]
