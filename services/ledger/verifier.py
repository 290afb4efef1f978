"""The process that proves the books while they are written, apart from the writer so that it does not slow it.

It serves `/metrics`, `/livez` and `/readyz` on the ledger's port + 200. What it has folded is in a file of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from libs.events.tasks import run_together
from libs.service.app import create_app
from libs.service.db import create_pool, ping
from libs.service.health import Health
from libs.service.server import make_server
from services.ledger.settings import LedgerSettings
from services.ledger.store.heads import read_deployment
from services.ledger.verify.follow import Pace
from services.ledger.verify.online import Rhythm, Verifier
from services.ledger.verify.state import State
from services.ledger.verify.watch import AnchorWatch
from services.ledger.version import VERSION
from services.ledger.writer.leader import process_name

logger = logging.getLogger(__name__)

PORT_OFFSET = 200
POOL_MAX = 3
_NICE = 10


@asynccontextmanager
async def verifying(settings: LedgerSettings) -> AsyncIterator[tuple[Verifier, Health]]:
    """A verifier without its door; :class:`StateInUseError` when another works with its file."""
    # Whatever its connections look up, they look up by key; plans made on small tables would not know that.
    pool = await create_pool(
        settings.dsn, application_name="ledger-verifier", size_max=POOL_MAX, settings={"enable_seqscan": "off"}
    )
    try:
        await read_deployment(pool)
        state = await asyncio.to_thread(State, settings.verifier_state or settings.data / "verifier" / "state.sqlite")
        try:
            health = Health()
            health.add("postgres", lambda: ping(pool))
            rhythm = Rhythm(
                settings.verifier_share,
                settings.verifier_poll_s,
                settings.verifier_rest_s,
                Pace(settings.verifier_events_max, settings.verifier_accounts_max),
            )
            keys = settings.anchor_jwks_file or settings.jwks_file
            anchors = AnchorWatch(settings.anchors or settings.data / "anchors", keys)
            yield Verifier(pool, state, name=process_name(), anchors=anchors, rhythm=rhythm), health
        finally:
            await asyncio.to_thread(state.close)
    finally:
        await pool.close()


async def run_verifier(settings: LedgerSettings) -> None:
    """Verify until told to stop."""
    with contextlib.suppress(OSError):
        os.nice(_NICE)
    async with verifying(settings) as (verifier, health):

        @asynccontextmanager
        async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
            yield

        app = create_app(
            title="Tallystick ledger verifier", version=VERSION, settings=settings, lifespan=lifespan, health=health
        )
        server = make_server(app, settings.host, settings.port + PORT_OFFSET)
        await run_together(verifier.run(), server.serve())
