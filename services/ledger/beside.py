"""The small server by which the ledger's processes beside the writer are watched."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from libs.events.tasks import end
from libs.service import beside
from libs.service.app import create_app
from libs.service.health import Health
from services.ledger.settings import LedgerSettings
from services.ledger.version import VERSION


async def run_beside_server(
    work: Coroutine[Any, Any, None], settings: LedgerSettings, health: Health, *, name: str, port_offset: int
) -> None:
    """Run `work` beside `/metrics`, `/livez` and `/readyz` on the ledger's port + `port_offset`, until one ends."""
    app = create_app(title=f"Tallystick ledger {name}", version=VERSION, settings=settings, health=health)
    await beside.run_beside_server(work, app, settings.host, settings.port + port_offset, end)
