"""The broker itself goes away, loses a topic, or forgets what was not read in time: under the ledger's own parts.

What a consumer of `libs.events` makes of poison, gaps, the embedded broker's 5 MB and a broker that comes back empty is
tried in `libs/events/tests`, what becomes of a restored ledger in `services/ledger/tests/kafka`.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from deploy.embedded.broker import EmbeddedBroker
from deploy.kafka.server import KafkaServer
from libs.events.contracts.ledger import commands as c
from services.ledger.tests.support import PARTITIONS
from tests.chaos.messaging import Trial, trial
from tests.plugins.kafka import require_kafka
from tests.plugins.postgres import DatabaseFrom
from tests.reliability import spread, write_part
from tests.waiting import beside, eventually

# The driver loses a connection whose making is cancelled; only the collector closes it.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

GONE_S = 1.0
OVERRUN_BYTES = 5_000_000
"""What the embedded broker keeps of a partition."""


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """An Apache Kafka of these tests' own."""
    require_kafka()
    server = KafkaServer(tmp_path_factory.mktemp("kafka"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def tried(
    kafka: KafkaServer, database_from: DatabaseFrom, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Trial]:
    """Ledger, relay and diary on it."""
    where = kafka.bootstrap

    async def make_topics(names: dict[str, int]) -> None:
        await make_again(kafka, *names)

    opening = trial(
        database_from, monkeypatch, make_topics, kind="kafka", address=where, tried=where, seed=1, shared=False
    )
    async with opening as made:
        yield made


async def restarts(kafka: KafkaServer, tried: Trial, times: int) -> list[float]:
    """Kill or shut down the broker and start it again on its log; how long each time nothing was there (seconds)."""
    away = []
    for number in range(times):
        await asyncio.sleep(tried.chance.uniform(0.3, 1.0))
        began = time.monotonic()
        await asyncio.to_thread(kafka.stop if number % 2 else kafka.kill)
        await asyncio.to_thread(kafka.start)
        away.append(time.monotonic() - began)
    return away


@pytest.mark.kafka
async def test_a_broker_that_is_restarted_in_the_middle_only_delays(kafka: KafkaServer, tried: Trial) -> None:
    """Killed, with its log: nothing is lost, nothing happens twice."""
    relay = tried.world.relay(tried.ledger, heartbeat_s=0.2)
    async with beside(relay.run(), tried.consumer().run(), *tried.asking()):
        await asyncio.gather(tried.ask(300), restarts(kafka, tried, 1))
        await tried.arrived()
    # A command that was sent again may be decided after a later one.
    await tried.check(in_order=False)


async def make_again(kafka: KafkaServer, *topics: str) -> None:
    """Delete topics and make them again, empty, in the same cluster: its id stays, offsets begin with 0."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    try:
        await admin.delete_topics(list(topics))
        end = time.monotonic() + GONE_S
        # Whoever works with them may have made them again before this looks.
        while time.monotonic() < end:
            if {one["topic"] for one in await admin.describe_topics()}.isdisjoint(topics):
                break
            await asyncio.sleep(0.05)
    finally:
        await admin.close()
    await kafka.create_topics(dict.fromkeys(topics, PARTITIONS))


async def cursors(tried: Trial) -> list[int]:
    """How far the ledger has read each partition of commands."""
    rows = await tried.ledger.pool.fetch("SELECT next_offset FROM command_cursors")
    return [row["next_offset"] for row in rows]


@pytest.mark.kafka
async def test_topics_that_are_deleted_and_made_again_lose_nothing(kafka: KafkaServer, tried: Trial) -> None:
    """The cluster's id is the same, so cursors seem to hold. Past the end they start again from the beginning; a
    command that lies before one is not read, and is answered when its sender sends it again."""
    relay = tried.world.relay(tried.ledger, heartbeat_s=0.2)
    async with beside(relay.run(), tried.consumer().run(), *tried.asking()):
        await tried.ask(120)
        await tried.arrived()
        assert min(await cursors(tried)) > 5
        await make_again(kafka, tried.world.commands, tried.world.events)
        # Fewer than before: every cursor is past the end.
        await tried.ask(8)
        await tried.arrived()
        assert min(await cursors(tried)) <= 5, "the reading went on where the old log had ended"
        # In the middle of what is going on, so that the new log may be longer than a cursor when it is looked at.
        await asyncio.gather(tried.ask(200, pause_s=0.005), make_again(kafka, tried.world.commands, tried.world.events))
        await tried.arrived()
    await tried.check(in_order=False)


@pytest.mark.kafka
async def test_a_new_log_that_is_longer_than_the_cursor(kafka: KafkaServer, tried: Trial) -> None:
    """Nothing tells such a log from the old one; what lies before the cursor is answered when it is sent again."""
    async with beside(tried.consumer().run(), tried.world.relay(tried.ledger).run()):
        await tried.send(40, pause_s=0)
        await tried.arrived()
    row = await tried.ledger.pool.fetchrow("SELECT partition, next_offset FROM command_cursors ORDER BY 2 LIMIT 1")
    assert row is not None
    partition, cursor = row
    assert cursor > 0

    async def longer() -> bool:
        (end,) = (await tried.direct.bus.end_offsets(tried.world.commands, [partition])).values()
        return bool(end > cursor)

    async with tried.stood_by():
        await make_again(kafka, tried.world.commands)
        # Both bus and sender are the service's own; the ledger does not look yet.
        async with beside(*tried.asking()):
            await tried.ask(150, pause_s=0)
            await eventually(longer, f"the log is longer than {cursor}")
    async with beside(tried.consumer().run(), tried.world.relay(tried.ledger).run(), *tried.asking()):
        await tried.arrived()
    await tried.check(in_order=False)


@pytest.mark.campaign
async def test_a_diary_slower_than_the_embedded_broker_loses_nothing(
    database_from: DatabaseFrom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The broker drops the oldest of a partition beyond 5 MB; what the diary had not read by then is on the feed."""
    broker = EmbeddedBroker({})
    where = broker.start()

    async def make_topics(names: dict[str, int]) -> None:
        for name, partitions in names.items():
            broker.create_topic(name, partitions)

    try:
        opening = trial(
            database_from, monkeypatch, make_topics, kind="embedded", address=where, tried=where, seed=1, shared=False
        )
        async with opening as tried:
            tried.hold.clear()
            # What it has read ahead is little, so that the broker has to keep the rest.
            tried.times = replace(tried.times, buffer_bytes=50_000)
            relay = tried.world.relay(tried.ledger, heartbeat_s=0.2)
            async with beside(relay.run(), tried.consumer().run()):
                await tried.send(3)
                await tried.ledger.do("grant", "ann", amount=10_000)
                for _ in range(12):
                    charges = [
                        tried.ledger.request("charge", "ann", amount=1, key=f"{key:0200}", reference="r" * 200)
                        for key in itertools.islice(tried.ledger.numbers, 500)
                    ]
                    for charge in charges:
                        charge.correlation_id = "x" * 250
                    await asyncio.gather(*[tried.ledger.send(charge) for charge in charges])

                async def published() -> bool:
                    query = (
                        "SELECT sum(h.position) - sum(r.seq) FROM heads h JOIN relay_checkpoints r USING (partition)"
                    )
                    return bool(await tried.ledger.pool.fetchval(query) == 0)

                await eventually(published, "all is published")
                size = await tried.ledger.pool.fetchval(
                    "SELECT sum(length(payload) + length(correlation_id) + length(idempotency_key)) FROM events"
                )
                assert size > OVERRUN_BYTES
                asked = tried.feed_requests
                tried.hold.set()
                await tried.arrived()
                assert tried.feed_requests > asked, "the broker had everything: nothing was tried"
            await tried.check()
    finally:
        broker.stop()


async def test_a_diary_that_stands_still_holds_up_nobody(
    embedded_broker: Any, database_from: DatabaseFrom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Commands are decided and published at their own pace while a consumer gets nowhere; then it hears of all."""
    where = embedded_broker.bootstrap
    opening = trial(
        database_from, monkeypatch, embedded_broker.create_topics, kind="embedded", address=where, tried=where, seed=2
    )
    async with opening as tried:
        tried.hold.clear()
        relay = tried.world.relay(tried.ledger, heartbeat_s=0.2)
        async with beside(relay.run(), tried.consumer().run()):
            await tried.send(200, pause_s=0)
            done = await tried.direct.done(tried.ledger, c.GrantCredits(user="last", amount="1"), "last")
            assert done.kind == "credits_granted"
            # Those of other partitions may still be decided: more may be published than has been told by now.
            told = await tried.direct.told(tried.ledger)
            await tried.direct.published(lambda events, _: len({event.id for event in events}) >= len(told))
            assert await tried.diary.fetchval("SELECT count(*) FROM diary") == 0
            tried.hold.set()
            await tried.arrived()
        await tried.check()


@pytest.mark.kafka
@pytest.mark.campaign
@pytest.mark.timeout(1800)
async def test_campaign(kafka: KafkaServer, tried: Trial) -> None:
    """Many restarts, then topics made again many times, under commands all the while."""
    relay = tried.world.relay(tried.ledger, heartbeat_s=0.2)
    caught_up: list[float] = []
    remade = 0
    async with beside(relay.run(), tried.consumer().run(), *tried.asking()):
        _, away = await asyncio.gather(tried.ask(3000, pause_s=0.04), restarts(kafka, tried, 10))
        began = time.monotonic()
        await tried.arrived()
        caught_up.append(time.monotonic() - began)
        for topics in [(tried.world.commands,), (tried.world.events,), (tried.world.commands, tried.world.events)] * 3:
            await asyncio.gather(tried.ask(200), make_again(kafka, *topics))
            remade += len(topics)
            began = time.monotonic()
            await tried.arrived()
            caught_up.append(time.monotonic() - began)
    checked = await tried.check(in_order=False)
    write_part(
        "network",
        "broker",
        {
            "commands": checked,
            "restarts": len(away),
            "restart": spread(away),
            "topics_made_again": remade,
            "caught_up": spread(caught_up),
            "violations": 0,
        },
    )
