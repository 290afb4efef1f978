"""Work and the server beside it end together, whichever ends first, and however the work takes being told to."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from deploy.embedded.ports import free_port
from libs.events import tasks
from libs.service.health import Health
from services.ledger.beside import run_beside_server
from services.ledger.settings import LedgerSettings
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

DEADLINE_S = 30.0
OFFSET = 1


@pytest.fixture
def settings(tmp_path: Path) -> LedgerSettings:
    """Of a process whose database is never asked."""
    fields: dict[str, Any] = {"listen_port": free_port() - OFFSET, "env": "test", "data": tmp_path}
    return LedgerSettings(dsn=SecretStr("postgresql://nobody@127.0.0.1:1/none"), **fields)


async def live(settings: LedgerSettings) -> bool:
    """Whether the server beside the work answers."""
    async with httpx.AsyncClient() as http:
        try:
            return (await http.get(f"http://127.0.0.1:{settings.port + OFFSET}/livez")).status_code == 200
        except httpx.ConnectError:
            return False


async def test_work_that_fails_ends_the_server_and_is_told(settings: LedgerSettings) -> None:
    async def fail() -> None:
        await eventually(lambda: live(settings))
        raise LookupError("gone")

    with pytest.raises(LookupError, match="gone"):
        async with asyncio.timeout(DEADLINE_S):
            await run_beside_server(fail(), settings, Health(), name="test", port_offset=OFFSET)
    assert not await live(settings)


async def test_work_that_loses_the_first_cancellation_has_ended_too(
    settings: LedgerSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when a connection is lost in a transaction: its error takes the cancellation's place, and work goes on."""
    monkeypatch.setattr(tasks, "INSIST_S", 0.02)
    tried: list[str] = []

    async def try_again() -> None:
        try:
            try:
                await asyncio.sleep(3600)
            finally:
                raise ConnectionResetError
        except ConnectionResetError:
            tried.append("again")
        try:
            await asyncio.sleep(3600)
        finally:
            tried.append("ended")

    running = asyncio.create_task(run_beside_server(try_again(), settings, Health(), name="test", port_offset=OFFSET))
    await eventually(lambda: live(settings))
    running.cancel()
    async with asyncio.timeout(DEADLINE_S):
        await asyncio.wait([running])
    assert running.cancelled()
    assert tried == ["again", "ended"]
    assert not await live(settings)
