"""A leader that is told to stop stops, whatever it is just doing, and its lease is free for the next at once."""

from __future__ import annotations

import asyncio
import random

import pytest

from libs.service.clock import SystemClock
from libs.service.db import Connection, connect, create_pool
from services.ledger.domain.config import AppConfig
from services.ledger.tests.support import PARTITIONS, SHARD
from services.ledger.writer.leader import Leader, LeaseTimes
from services.ledger.writer.surroundings import Limits
from tests.plugins.postgres import Database

pytestmark = pytest.mark.anyio

ROUNDS = 40
STOP_S = 10


async def test_a_leader_stops_at_any_moment(books: Database) -> None:
    chance = random.Random(7)  # noqa: S311
    pool = await create_pool(books.runtime_dsn, application_name="ledger")

    async def connection() -> Connection:
        return await connect(books.runtime_dsn, application_name="ledger-writer")

    async def configs() -> dict[str, AppConfig]:
        return {}

    for _ in range(ROUNDS):
        # Renewals follow each other at once, so that a stop mostly meets one.
        leader = Leader(
            shard=SHARD,
            url="",
            pool=pool,
            connect=connection,
            read_configs=configs,
            clock=SystemClock(),
            app_now=lambda _app: None,
            partitions=PARTITIONS,
            limits=Limits(),
            times=LeaseTimes(renew_s=0, poll_s=0.01),
        )
        running = asyncio.create_task(leader.run())
        async with asyncio.timeout(STOP_S):
            while leader.writer is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            for _ in range(chance.randrange(60)):
                await asyncio.sleep(0)
        running.cancel()
        done, _ = await asyncio.wait({running}, timeout=STOP_S)
        assert done, "the leader goes on"
        assert await pool.fetchval("SELECT holder FROM shards WHERE shard = $1", SHARD) == ""
    await pool.close()
