"""Charges as Kafka commands: put into the broker in bulk, then timed until the ledger has decided all of them."""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections.abc import Sequence

import asyncpg
from confluent_kafka import Producer

from bench.rounds import Sample, Side
from bench.world import APP, COMMAND_SOURCE, HOT, BenchError, Ledger, World
from deploy.embedded.services import LEDGER
from libs.events.contracts.base import encode
from libs.events.contracts.ledger.commands import ChargeCredits
from libs.events.db import Connection
from libs.events.envelope import Envelope, to_headers
from libs.events.partition import partition_of

TOPIC = "ledger.commands"
PARTITIONS = LEDGER.topics[TOPIC]
SPREAD_COUNT = 24_000
HOT_COUNT = 8_000
"""A partition of the embedded broker keeps 5 MB, and a hot account has one partition."""
SPREAD = "Kafka commands, spread"
KAFKA_HOT = "Kafka commands, hot"
POLL_S = 0.01
LIMIT_S = 90.0


def sides(world: World, ledger: Ledger, share: float = 1.0) -> list[Side]:
    """Commands over all accounts, and on one. `share` of the usual number is sent."""
    spread, hot = int(SPREAD_COUNT * share), int(HOT_COUNT * share)
    return [
        Side(SPREAD, lambda: asyncio.run(_decide_all(world, ledger, ledger.users, spread))),
        Side(KAFKA_HOT, lambda: asyncio.run(_decide_all(world, ledger, [HOT], hot))),
    ]


async def _decide_all(world: World, ledger: Ledger, users: Sequence[str], count: int) -> Sample:
    """The rate from the moment when the last command lies in the broker. What was decided before is not counted."""
    run = world.run_name()
    messages = _messages(users, count, run)
    connection = await asyncpg.connect(world.postgres.admin.dsn(ledger.database))
    try:
        target = await _position(connection) + count
        await asyncio.to_thread(_produce, world.broker(), messages)
        meter = ledger.meter()
        began, first = time.perf_counter(), await _position(connection)
        if first > target - count // 4:
            raise BenchError("the commands were decided faster than they could be sent")
        position = first
        while position < target:
            await asyncio.sleep(POLL_S)
            position = await _position(connection)
            if time.perf_counter() > began + LIMIT_S:
                raise BenchError(f"{target - position} of {count} commands were not decided in {LIMIT_S:g} s")
        took_s = time.perf_counter() - began
        cost_us = meter.each_us(target - first)
        await _require_charges(connection, run, count)
        return Sample((target - first) / took_s, cost_us=cost_us)
    finally:
        await connection.close()


async def _position(connection: Connection) -> int:
    position: int = await connection.fetchval("SELECT sum(position)::bigint FROM heads")
    return position


async def _require_charges(connection: Connection, run: str, count: int) -> None:
    """A refusal is an event too, and would be taken for a charge."""
    charged = await connection.fetchval(
        "SELECT count(*) FROM events WHERE type = 'ledger.credits_charged.v1' AND idempotency_key LIKE $1", f"{run}-%"
    )
    if charged != count:
        raise BenchError(f"of {count} commands only {charged} became charges")


def _messages(users: Sequence[str], count: int, run: str) -> list[Envelope]:
    shuffled = list(users)
    random.Random(run).shuffle(shuffled)
    now_us = time.time_ns() // 1000
    return [
        Envelope(
            id=f"command_{run}_{number}",
            source=COMMAND_SOURCE,
            type=ChargeCredits.TYPE,
            time_us=now_us,
            subject=user,
            app=APP,
            data=encode(ChargeCredits(user=user, amount="1")),
            idempotency_key=f"{run}-{number:08d}",
        )
        for number, user in enumerate(itertools.islice(itertools.cycle(shuffled), count))
    ]


def _produce(broker: str, messages: Sequence[Envelope]) -> None:
    producer = Producer({"bootstrap.servers": broker, "linger.ms": 20, "queue.buffering.max.messages": len(messages)})
    for message in messages:
        producer.produce(
            TOPIC,
            key=message.key,
            value=message.data,
            headers=[*to_headers(message)],
            partition=partition_of(message.app, message.subject, PARTITIONS),
        )
    left = producer.flush(LIMIT_S)
    if left:
        raise BenchError(f"{left} commands did not reach the broker")
