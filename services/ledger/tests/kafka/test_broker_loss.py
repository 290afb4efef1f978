"""The trial that counts: the broker dies at any moment and comes back empty, under commands and events of the ledger.

In the end the consumer has had every event of the log once and in order, and every command has one outcome.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from libs.events.bus import Bus
from libs.events.commands import OutcomeRecorder, Republisher, send_command
from libs.events.consumer import Consumer, Subscription, Times
from libs.events.contracts.base import Command
from libs.events.contracts.ledger import commands as c
from libs.events.db import Pool
from libs.events.outbox import Cause, Outbox, OutboxLog
from libs.events.relay import Relay
from libs.events.stamper import Stamper
from libs.service.db import create_pool
from services.ledger.store.log_source import COMMANDS_TOPIC, EVENTS_TOPIC
from services.ledger.tests.kafka.diary import has_all, note, noted, prepare_diary
from services.ledger.tests.kafka.world import World, feed_of
from services.ledger.tests.support import APP, PARTITIONS
from services.ledger.verify.run import verify
from tests.plugins.kafka import Restartable
from tests.plugins.postgres import Database, DatabaseFrom
from tests.waiting import beside, eventually

pytestmark = pytest.mark.anyio

TOPICS = {COMMANDS_TOPIC: PARTITIONS, EVENTS_TOPIC: PARTITIONS}
USERS = [f"user{number}" for number in range(10)]
COMMANDS = 200
DEATHS = {"embedded": 6, "kafka": 2}
TIMES = Times(silence_s=0.5, retry_first_s=0.02, retry_max_s=0.2, attend_s=0.05)


@pytest.fixture
async def payments(database_from: DatabaseFrom) -> AsyncIterator[Pool]:
    """The database of a service that sends commands and keeps a diary of the ledger's events."""
    made = await database_from("ledger-kafka-sender", prepare_diary)
    async with await create_pool(made.runtime_dsn, application_name="payments") as pool:
        yield pool


@pytest.mark.parametrize("seed", [1, 2])
async def test_nothing_is_lost_or_doubled_when_the_broker_dies(
    restartable_broker: Restartable, books: Database, payments: Pool, seed: int
) -> None:
    broker, chance = restartable_broker, random.Random(seed)  # noqa: S311
    await broker.create_topics(TOPICS)
    address = f"file:{broker.address_file}"
    outbox = Outbox("payments", PARTITIONS)
    commands: list[str] = []

    async def ask() -> None:
        for number in range(COMMANDS):
            user = chance.choice(USERS)
            grant = c.GrantCredits(user=user, amount="2", reference=f"order {number}")
            command: Command = chance.choice([grant, grant, c.CreateHold(user=user, amount="1")])
            async with payments.acquire() as connection, connection.transaction():
                commands.append(
                    await send_command(
                        connection,
                        outbox,
                        command,
                        app=APP,
                        user=user,
                        idempotency_key=f"key{number}",
                        cause=Cause(),
                        republish_after_s=0.3,
                    )
                )
            await asyncio.sleep(chance.uniform(0, 0.03))

    async def kill() -> None:
        for _ in range(DEATHS[broker.kind]):
            await asyncio.sleep(chance.uniform(0.05, 0.8))
            await asyncio.to_thread(broker.stop)
            await asyncio.sleep(chance.uniform(0, 0.3))
            await broker.start_empty(TOPICS)

    bus_of_payments = Bus(address, TOPICS, timeout_s=5.0, probe_s=0.1)
    bus_of_ledger = Bus(address, TOPICS, timeout_s=5.0, probe_s=0.1)
    async with bus_of_payments, bus_of_ledger:
        world = World(broker.kind, books, COMMANDS_TOPIC, EVENTS_TOPIC, bus_of_ledger)
        async with world.ledger() as ledger:
            async with feed_of(ledger) as feed:
                consumer = Consumer(
                    "payments",
                    payments,
                    bus_of_payments,
                    [Subscription("ledger", EVENTS_TOPIC, range(PARTITIONS), feed)],
                    {},
                    observers=[note, OutcomeRecorder()],
                    times=TIMES,
                )
                log = OutboxLog("payments", payments)
                sending = Relay(log, payments, bus_of_payments, {COMMANDS_TOPIC: PARTITIONS}, poll_s=0.01, retry_s=0.05)
                again = Republisher(
                    payments, bus_of_payments, "payments", pause_first_s=0.3, pause_max_s=1.0, poll_s=0.05
                )
                async with beside(
                    world.relay(ledger, heartbeat_s=0.2).run(),
                    consumer.run(),
                    Stamper(payments, poll_s=0.01).run(),
                    sending.run(),
                    again.run(),
                ):
                    await asyncio.gather(ask(), kill())
                    await eventually(lambda: _answered(payments), "an outcome of every command")
                    await eventually(lambda: has_all(payments, ledger.pool), "every event")
            # Every command has one transaction, and the diary is the log.
            told = await world.told(ledger)
            caused: dict[str, set[str]] = {command: set() for command in commands}
            for event in told:
                if event.cause in caused:
                    caused[event.cause].add(event.transaction)
            assert {command: len(each) for command, each in caused.items()} == dict.fromkeys(commands, 1)
            for partition in range(PARTITIONS):
                events = [(each.position, each.event_id) for each in told if each.partition == partition]
                assert await noted(payments, partition) == events
            assert (await verify(ledger.dsn)).violations == []


async def _answered(payments: Pool) -> bool:
    return not await payments.fetchval("SELECT count(*) FROM sent_commands WHERE answered_at IS NULL")
