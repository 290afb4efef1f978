"""The process that publishes the log to Kafka, apart from the writer so that publishing does not slow it.

It serves `/metrics`, `/livez` and `/readyz` on the ledger's port + 100.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator

from fastapi import FastAPI

from libs.events.bus import Bus
from libs.events.relay import Relay
from libs.service.app import create_app
from libs.service.db import create_pool, ping
from libs.service.health import Health
from libs.service.server import make_server
from services.ledger.settings import LedgerSettings
from services.ledger.store.heads import read_deployment
from services.ledger.store.log_source import EVENTS_TOPIC, LedgerLog
from services.ledger.version import VERSION

logger = logging.getLogger(__name__)

PORT_OFFSET = 100


async def run_relay(settings: LedgerSettings) -> None:
    """Publish until told to stop; ends with an error when another relay has taken over or the log is an old copy."""
    pool = await create_pool(settings.dsn, application_name="ledger-relay", size_max=4)
    try:
        partitions = (await read_deployment(pool)).partitions
        topics = {EVENTS_TOPIC: partitions}
        health = Health()
        health.add("postgres", lambda: ping(pool))
        async with Bus(settings.kafka, topics, client_id="ledger-relay") as bus:
            relay = Relay(LedgerLog(pool), pool, bus, topics)
            publishing = asyncio.create_task(relay.run())

            @contextlib.asynccontextmanager
            async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
                yield

            app = create_app(
                title="Tallystick ledger relay", version=VERSION, settings=settings, lifespan=lifespan, health=health
            )
            server = make_server(app, settings.host, settings.port + PORT_OFFSET)
            serving = asyncio.create_task(server.serve())
            await asyncio.wait({publishing, serving}, return_when=asyncio.FIRST_COMPLETED)
            server.should_exit = True
            publishing.cancel()
            await serving
            with contextlib.suppress(asyncio.CancelledError):
                await publishing
    finally:
        await pool.close()
