"""A service beside the ledger, as a process: sends what is in its outbox, hears every event, and knows each outcome.

`python -m tests.chaos.service`, with the settings that `Cluster.consumer` gives it.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence

import httpx

from libs.events import failpoints
from libs.events.bus import Bus
from libs.events.commands import OutcomeRecorder, Republisher
from libs.events.consumer import Consumer, Subscription, Times
from libs.events.db import Connection, Fenced
from libs.events.envelope import Envelope
from libs.events.feed import FeedClient
from libs.events.handling import Handling
from libs.events.ids import parse_id
from libs.events.outbox import OutboxLog
from libs.events.relay import Relay
from libs.events.stamper import Stamper
from libs.events.tasks import run_together
from libs.service.db import create_pool
from tests.chaos.cluster import COMMANDS, EVENTS, SERVICE

RETRY_S = 0.2


async def hear(connection: Connection, events: Sequence[Envelope]) -> None:
    """Note every event in the transaction that consumes it."""
    await connection.executemany(
        "INSERT INTO heard (partition, seq, event_id) VALUES ($1, $2, $3)",
        [(parse_id(event.id, "event"), event.seq, event.id) for event in events],
    )


async def main() -> None:
    """Run all parts until killed; after a lost connection, all of them anew."""
    partitions = int(os.environ["TRIAL_PARTITIONS"])
    failpoints.arm(os.environ.get("TALLYSTICK_FAILPOINTS", ""))
    while True:
        try:
            await _run(partitions)
        except (Fenced, *Handling.PASSING) as error:
            print(f"begun anew after {error!r}", flush=True)
            await asyncio.sleep(RETRY_S)


async def _run(partitions: int) -> None:
    token = os.environ["TRIAL_TOKEN"]
    topics = {COMMANDS: partitions, EVENTS: partitions}
    async with (
        await create_pool(os.environ["TRIAL_DSN"], application_name="trial") as pool,
        Bus(os.environ["TALLYSTICK_KAFKA"], topics, client_id="trial") as bus,
        httpx.AsyncClient(timeout=5.0) as http,
    ):
        feed = FeedClient(http, os.environ["TRIAL_FEED"], lambda: token)
        consumer = Consumer(
            SERVICE,
            pool,
            bus,
            [Subscription("ledger", EVENTS, range(partitions), feed)],
            {},
            observers=[hear, OutcomeRecorder()],
            times=Times(silence_s=5.0, retry_max_s=1.0),
        )
        await run_together(
            Stamper(pool).run(),
            Relay(OutboxLog(SERVICE, pool), pool, bus, {COMMANDS: partitions}, retry_s=RETRY_S).run(),
            Republisher(pool, bus, SERVICE, pause_first_s=1.0, pause_max_s=2.0, poll_s=RETRY_S).run(),
            consumer.run(),
        )


if __name__ == "__main__":
    asyncio.run(main())
