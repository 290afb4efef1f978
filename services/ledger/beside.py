"""Runs the work of a process of its own beside the small server by which it is watched."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any

from libs.events.tasks import end
from libs.service.app import create_app
from libs.service.health import Health
from libs.service.server import make_server
from services.ledger.settings import LedgerSettings
from services.ledger.version import VERSION


async def run_beside_server(
    work: Coroutine[Any, Any, None], settings: LedgerSettings, health: Health, *, name: str, port_offset: int
) -> None:
    """Run `work` beside `/metrics`, `/livez` and `/readyz` on the ledger's port + `port_offset`, until one ends.

    Both have ended on return, also when this is cancelled, so that what they work with can be closed. Raises what the
    work failed with.
    """
    app = create_app(title=f"Tallystick ledger {name}", version=VERSION, settings=settings, health=health)
    server = make_server(app, settings.host, settings.port + port_offset)
    working = asyncio.ensure_future(work)
    serving = asyncio.create_task(server.serve())
    try:
        await asyncio.wait({working, serving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        server.should_exit = True
        await end(working)
        await serving
    with contextlib.suppress(asyncio.CancelledError):
        working.result()
