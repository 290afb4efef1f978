"""The process that publishes the log to Kafka, apart from the writer so that publishing does not slow it.

It serves `/metrics`, `/livez` and `/readyz` on the ledger's port + 100.
"""

from __future__ import annotations

from libs.events.bus import Bus
from libs.events.relay import Relay
from libs.service.db import create_pool, ping
from libs.service.health import Health
from services.ledger.beside import run_beside_server
from services.ledger.settings import LedgerSettings
from services.ledger.store.heads import read_deployment
from services.ledger.store.log_source import EVENTS_TOPIC, LedgerLog

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
            await run_beside_server(relay.run(), settings, health, name="relay", port_offset=PORT_OFFSET)
    finally:
        await pool.close()
