"""The one place where the proxy is put together."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI

from libs.service.app import create_app
from libs.service.auth import Authenticator
from libs.service.clock import Clock, SystemClock
from libs.service.health import Health
from services.meter import api, metrics
from services.meter.domain.tokens import load_counter
from services.meter.handlers.calls import Desk
from services.meter.journal import Journal
from services.meter.ledgers import Ledgers
from services.meter.settings import MeterSettings
from services.meter.upstream import Upstream

VERSION = "1"
CLOSE_S = 5.0
"""How long settlements that are under way may take when the proxy is stopped."""


def build(settings: MeterSettings, clock: Clock | None = None) -> FastAPI:
    """The proxy's application. Its lifespan opens the journal, and settles what an earlier run left."""
    counter = load_counter(settings.counter)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            journal = Journal(settings.journal_dir, settings.journal_bytes_max)
            stack.callback(journal.close)
            metrics.OPEN.set_function(lambda: len(journal.open_calls()))
            ledgers = Ledgers(settings)
            stack.push_async_callback(ledgers.close)
            upstream = Upstream(settings)
            stack.push_async_callback(upstream.close)
            desk = Desk(settings, ledgers, journal, upstream, counter)
            stack.push_async_callback(desk.settling.close, CLOSE_S)
            desk.settling.recover()
            app.state.desk = desk
            app.state.logger = logging.getLogger(__name__)
            yield

    return create_app(
        title="Tallystick metering proxy",
        version=VERSION,
        settings=settings,
        routers=[api.router],
        lifespan=lifespan,
        health=Health(),
        authenticator=Authenticator(settings.jwks_file, "meter", clock or SystemClock()),
        body_bytes_max=settings.body_bytes_max,
    )
