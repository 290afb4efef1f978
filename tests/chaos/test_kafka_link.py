"""The link to Kafka is slow, reset or half open, under the relay, the taking of commands, and a consumer of events.

Everything arrives once in its effect, and in order. Both brokers: the embedded one and Apache Kafka, which both would
tell clients their own address, so that the proxy puts its own in place of it.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from libs.events.ids import parse_id
from services.ledger.tests.support import PARTITIONS
from tests.chaos.kafka_wire import KafkaProxy, ProduceCut
from tests.chaos.messaging import Trial, trial
from tests.plugins.kafka import Broker
from tests.plugins.postgres import DatabaseFrom
from tests.reliability import spread, write_part
from tests.waiting import beside, eventually

# The driver loses a connection whose making is cancelled; only the collector closes it.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

COMMANDS = 150
ROUNDS = 2


@dataclass
class Setting:
    """A trial and the proxy that its parts go through."""

    trial: Trial
    proxy: KafkaProxy


Fault = Callable[[Setting], Coroutine[Any, Any, None]]


@pytest.fixture
async def setting(
    broker: Broker, database_from: DatabaseFrom, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Setting]:
    """Ledger, relay and diary behind a proxy, on both brokers in turn."""
    async with opened(broker, database_from, monkeypatch, 1) as made:
        yield made


@asynccontextmanager
async def opened(
    broker: Broker, database_from: DatabaseFrom, monkeypatch: pytest.MonkeyPatch, seed: int
) -> AsyncIterator[Setting]:
    """The setting of one trial."""
    async with AsyncExitStack() as stack:
        proxy = await stack.enter_async_context(KafkaProxy(broker.bootstrap))
        made = await stack.enter_async_context(
            trial(
                database_from,
                monkeypatch,
                broker.create_topics,
                kind=broker.kind,
                address=broker.bootstrap,
                tried=proxy.address,
                seed=seed,
            )
        )
        yield Setting(made, proxy)


async def slow(setting: Setting) -> None:
    """20 ms for everything, and 300 kB/s."""
    setting.proxy.latency_s, setting.proxy.bytes_per_s = 0.02, 300_000
    await asyncio.Event().wait()


async def resets(setting: Setting) -> None:
    """All links are reset again and again."""
    while True:
        await asyncio.sleep(setting.trial.chance.uniform(0.05, 0.6))
        setting.proxy.reset()


async def refusals(setting: Setting) -> None:
    """The broker cannot be reached for moments, and what was open is gone."""
    while True:
        await asyncio.sleep(setting.trial.chance.uniform(0.2, 0.6))
        setting.proxy.refusing = True
        setting.proxy.reset()
        await asyncio.sleep(setting.trial.chance.uniform(0.05, 0.4))
        setting.proxy.heal()


async def silences(setting: Setting) -> None:
    """Links go half open, in one direction or both, and new ones do too for a while."""
    chance = setting.trial.chance
    while True:
        await asyncio.sleep(chance.uniform(0.3, 0.8))
        up = chance.random() < 0.5
        setting.proxy.silence(up=up, down=not up or chance.random() < 0.5)
        await asyncio.sleep(chance.uniform(0.2, 1.0))
        setting.proxy.heal()


async def lost_acknowledgements(setting: Setting) -> None:
    """Produce requests are cut before the broker has them, or before it has said so."""
    chance, cuts = setting.trial.chance, list(ProduceCut)
    setting.proxy.choose = lambda: chance.choice(cuts) if chance.random() < 0.05 else None
    await asyncio.Event().wait()


FAULTS: list[Fault] = [slow, resets, refusals, silences, lost_acknowledgements]


async def endure(setting: Setting, fault: Fault, commands: int) -> float:
    """Send commands over a good link while the parts' own is spoilt; how long they took to catch up afterwards."""
    tried = setting.trial
    relay = tried.world.relay(tried.ledger, heartbeat_s=0.2)
    async with beside(relay.run(), tried.consumer().run()):
        async with beside(fault(setting)):
            await tried.send(commands)
        setting.proxy.choose = lambda: None
        setting.proxy.heal()
        began = time.monotonic()
        await tried.arrived()
        took = time.monotonic() - began
        await everything_published(tried)
    await tried.check()
    return took


async def everything_published(tried: Trial) -> None:
    """Wait until the topic has every event; each partition's first copies lie in the order of the log (C7, C8)."""
    told = await tried.direct.told(tried.ledger)
    published = await tried.direct.published(lambda events, _: len({event.id for event in events}) == len(told))
    first: dict[str, tuple[int, int | None]] = {}
    for event in published:
        first.setdefault(event.id, (parse_id(event.id), event.seq))
    for partition in range(PARTITIONS):
        seqs = [seq for place, seq in first.values() if place == partition]
        assert seqs == [each.position for each in told if each.partition == partition]


@pytest.mark.parametrize(
    ("broker", "fault"),
    [
        *(("embedded", fault) for fault in FAULTS),
        # The campaign tries all of them on Apache Kafka, too.
        *(pytest.param("kafka", fault, marks=pytest.mark.kafka) for fault in (silences, lost_acknowledgements)),
    ],
    indirect=["broker"],
    ids=lambda value: getattr(value, "__name__", value),
)
async def test_everything_arrives_once_and_in_order(setting: Setting, fault: Fault) -> None:
    """C6, C7, C8, C9 by a bad link."""
    await endure(setting, fault, COMMANDS)


async def taken(tried: Trial) -> int:
    """How many commands the ledger has read."""
    return int(await tried.ledger.pool.fetchval("SELECT coalesce(sum(next_offset), 0) FROM command_cursors"))


async def test_the_parts_really_talk_through_the_proxy(setting: Setting) -> None:
    """Otherwise all of the above would say nothing: with the proxy shut, nothing more is heard, and then it is."""
    tried = setting.trial
    relay = tried.world.relay(tried.ledger, heartbeat_s=0.2)
    async with beside(relay.run()):
        await tried.send(5)

        async def first_taken() -> bool:
            return await taken(tried) == 5

        await eventually(first_taken, "the first commands are taken")
        await everything_published(tried)
        assert setting.proxy.requests[0] > 0
        assert setting.proxy.requests[1] > 0
        setting.proxy.refusing = True
        setting.proxy.reset()
        await tried.send(5)
        await asyncio.sleep(0.5)
        assert await taken(tried) == 5
        setting.proxy.heal()

        async def all_taken() -> bool:
            return await taken(tried) == 10

        await eventually(all_taken, "the commands are taken")


@pytest.mark.campaign
@pytest.mark.timeout(1800)
async def test_campaign(
    embedded_broker: Broker, kafka_broker: Broker, database_from: DatabaseFrom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each fault on both brokers, several times."""
    figures: dict[str, Any] = {}
    for broker in (embedded_broker, kafka_broker):
        for fault in FAULTS:
            times, cuts, commands = [], 0, 0
            for seed in range(ROUNDS):
                async with opened(broker, database_from, monkeypatch, seed) as setting:
                    times.append(await endure(setting, fault, 400))
                    cuts += setting.proxy.cuts.total()
                    commands += 400
            figures[f"{broker.kind}/{fault.__name__}"] = {
                "commands": commands,
                "produce_cuts": cuts,
                "violations": 0,
                "caught_up": spread(times),
            }
            # After each, so that a campaign that is ended early leaves what it has found.
            write_part("network", "kafka_link", figures)
