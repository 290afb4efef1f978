"""The one place where the HTTP side of the service is put together."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import asyncpg
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from libs.events.bus import Bus
from libs.events.commands import Answers
from libs.events.handling import Handling
from libs.events.tasks import end
from libs.service.app import Lifespan, create_app, request_id_of
from libs.service.auth import Authenticator
from libs.service.clock import Clock, LateClocks, SystemClock, TestClocks
from libs.service.contract import completed
from libs.service.db import ping
from libs.service.health import Health
from libs.service.middleware import BODY_BYTES_MAX
from libs.service.problems import Unavailable, problem_response
from libs.service.settings import ServiceSettings
from services.codes import api
from services.codes.core import LEDGER_EVENTS
from services.codes.handlers.outcomes import SIDE_EVENTS
from services.codes.handlers.redeeming import Desk
from services.codes.jobs import hear_news
from services.codes.ledger import Ledger
from services.codes.running import core_of
from services.codes.settings import CodesSettings
from services.codes.version import VERSION

logger = logging.getLogger(__name__)

UNDECIDED = (*Handling.PASSING, asyncpg.InternalClientError, asyncpg.ObjectNotInPrerequisiteStateError)
"""What the database raises when it is away, or when the wait for another write's locks was too long."""


def build(settings: CodesSettings, clock: Clock | None = None) -> FastAPI:
    """The application. Its lifespan opens the database and tails the ledger's answers."""
    clock = clock or SystemClock()
    health = Health()
    clocks = LateClocks()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            core = await stack.enter_async_context(core_of(settings, clock, clocks, "codes"))
            ledger = Ledger(settings)
            stack.push_async_callback(ledger.close)
            bus = Bus(settings.kafka, {LEDGER_EVENTS: settings.partitions}, client_id="codes")
            await stack.enter_async_context(bus)
            answers = Answers(core.pool, bus, LEDGER_EVENTS, settings.partitions, side_events=SIDE_EVENTS)
            for work in (answers.run(), hear_news(core)):
                stack.push_async_callback(end, asyncio.create_task(work))
            health.add("database", lambda: ping(core.pool))
            app.state.core = core
            app.state.desk = Desk(core, answers, ledger)
            yield

    return assemble(
        settings,
        clocks,
        authenticator=Authenticator(settings.jwks_file, "codes", clock),
        health=health,
        lifespan=lifespan,
        body_bytes_max=settings.body_bytes_max,
    )


def assemble(
    settings: ServiceSettings,
    clocks: TestClocks,
    *,
    authenticator: Authenticator | None = None,
    health: Health | None = None,
    lifespan: Lifespan | None = None,
    body_bytes_max: int = BODY_BYTES_MAX,
) -> FastAPI:
    """The application of all routes. Without the rest it serves nobody, but can be described."""
    app = completed(
        create_app(
            title="Tallystick codes",
            version=VERSION,
            settings=settings,
            routers=api.ROUTERS,
            lifespan=lifespan,
            health=health,
            authenticator=authenticator,
            test_clocks=clocks,
            body_bytes_max=body_bytes_max,
        )
    )
    for kind in UNDECIDED:
        app.add_exception_handler(kind, _on_undecided)
    return app


async def _on_undecided(request: Request, error: Exception) -> Response:
    logger.warning("the database did not decide a request: %r", error)
    return problem_response(Unavailable("The database could not decide it just now."), request_id_of(request))
