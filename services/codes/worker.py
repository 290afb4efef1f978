"""The process beside HTTP: numbers and publishes what was told, sends commands until they are answered, hears the
ledger, and ends reservations. It answers `/metrics`, `/livez` and `/readyz` on the port 100 above that of HTTP.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import AsyncExitStack

from libs.events.bus import Bus
from libs.events.commands import Republisher
from libs.events.handling import Handling
from libs.events.outbox import OutboxLog
from libs.events.relay import Relay
from libs.events.stamper import Stamper
from libs.events.tasks import end, run_together
from libs.service.app import create_app
from libs.service.beside import run_beside_server
from libs.service.clock import LateClocks, SystemClock
from libs.service.db import ping
from libs.service.health import Health
from services.codes.consumers import consumer_of
from services.codes.core import EVENTS_TOPIC, LEDGER_COMMANDS, LEDGER_EVENTS, PAYMENTS_EVENTS, SOURCE, Core
from services.codes.jobs import expiry, forget_answers, hear_news, making, rewarding, watch
from services.codes.ledger import Ledger
from services.codes.payments import Payments
from services.codes.running import core_of
from services.codes.settings import WORKER_OFFSET, CodesSettings
from services.codes.version import VERSION

logger = logging.getLogger(__name__)

RETRY_S = 0.5


async def run_worker(settings: CodesSettings) -> None:
    """Work until told to stop. Ends with an error when another worker has taken over."""
    async with core_of(settings, SystemClock(), LateClocks(), "codes-worker") as core:
        health = Health()
        health.add("database", lambda: ping(core.pool))
        app = create_app(title="Tallystick codes worker", version=VERSION, settings=settings, health=health)
        await run_beside_server(_keep_working(core), app, settings.host, settings.port + WORKER_OFFSET, end)


async def _keep_working(core: Core) -> None:
    """All parts; after a lost connection, all of them anew."""
    while True:
        try:
            await _work(core)
        except Handling.PASSING as error:
            logger.warning("the work is begun anew: %r", error)
            await asyncio.sleep(RETRY_S)


async def _work(core: Core) -> None:
    partitions = core.settings.partitions
    topics = {EVENTS_TOPIC: partitions, LEDGER_COMMANDS: partitions}
    heard = {LEDGER_EVENTS: partitions}
    async with AsyncExitStack() as stack:
        ledger = Ledger(core.settings)
        stack.push_async_callback(ledger.close)
        payments = None
        if core.settings.payments_url is not None:
            payments = Payments(core.settings, core.settings.payments_url)
            stack.push_async_callback(payments.close)
            heard[PAYMENTS_EVENTS] = partitions
        bus = Bus(core.settings.kafka, {**topics, **heard}, client_id="codes-worker")
        async with bus, expiry(core), making(core), rewarding(core):
            await run_together(
                Stamper(core.pool).run(),
                Relay(OutboxLog(SOURCE, core.pool), core.pool, bus, topics).run(),
                Republisher(core.pool, bus, SOURCE).run(),
                consumer_of(core, bus, ledger.feed, None if payments is None else payments.feed).run(),
                forget_answers(core),
                hear_news(core),
                watch(core),
            )
