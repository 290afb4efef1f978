"""The process that proves the books while they are written, apart from the writer so that it does not slow it.

It serves `/metrics`, `/livez` and `/readyz` on the ledger's port + 200. What it has folded is in a file of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from libs.service.db import create_pool, ping
from libs.service.health import Health
from services.ledger.anchors import anchor_directory
from services.ledger.beside import run_beside_server
from services.ledger.settings import LedgerSettings
from services.ledger.store.heads import read_deployment
from services.ledger.verify.follow import Pace
from services.ledger.verify.online import Rhythm, Verifier
from services.ledger.verify.state import State
from services.ledger.verify.watch import AnchorWatch
from services.ledger.writer.leader import process_name

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
            anchors = AnchorWatch(anchor_directory(settings.anchors, settings.data), keys)
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
        await run_beside_server(verifier.run(), settings, health, name="verifier", port_offset=PORT_OFFSET)
