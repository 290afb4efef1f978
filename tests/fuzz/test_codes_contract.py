"""The service of codes answers as its OpenAPI document says, whatever a request that it allows, or does not, holds."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploy.embedded.ports import free_port
from libs.service.server import make_server
from services.codes import openapi
from services.codes.store.verifying import differences
from services.codes.tests.office import prepare_codes
from services.ledger.tests.http.client import Api
from tests.fuzz.contract import Callers, every_operation
from tests.plugins.postgres import DatabaseFrom
from tests.reliability import write_figures
from tests.security.codes_estate import CodesEstate, codes_api
from tests.waiting import eventually

pytestmark = [
    pytest.mark.anyio,
    # Requests are drawn in a thread: a number that the service draws meanwhile looks as if drawing had asked for it.
    pytest.mark.filterwarnings("ignore:Do not use the `random` module:hypothesis.errors.HypothesisDeprecationWarning"),
]

DESCRIBED = openapi.application().openapi()
LAST = ("void", "config", "test-clock")
"""Little works with what is void, or where codes are switched off."""


@pytest.fixture
async def api(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Api]:
    """The service without Kafka."""
    async with codes_api(await database_from("codes", prepare_codes), tmp_path) as made:
        yield made


@pytest.fixture
async def callers(api: Api) -> AsyncIterator[Callers]:
    """The service on a port, with one of everything in it."""
    estate = CodesEstate(api)
    await estate.fill()
    port = free_port()
    server = make_server(api.app, "127.0.0.1", port)
    task = asyncio.create_task(server._serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    good = {"user": "ann", "amount": "1", "campaign": None, "count": 2}
    yield Callers(f"http://127.0.0.1:{port}", lambda role: api.as_(role, sub="ann").token, estate.ids, good=good)
    server.should_exit = True
    await task


async def test_answers_are_as_documented(callers: Callers, api: Api) -> None:
    faults = await every_operation(DESCRIBED, callers, 3, 1, last=LAST)
    assert not faults.found, "\n\n".join(f"{name}\n{what}" for name, what in faults.found.items())
    assert {"200", "201", "400", "403", "404"} <= set(faults.statuses), faults.statuses
    async with api.app.state.core.pool.acquire() as connection:
        assert await differences(connection) == []


@pytest.mark.campaign
@pytest.mark.timeout(3600)
async def test_many_answers_are_as_documented(callers: Callers, api: Api) -> None:
    began = time.monotonic()
    seed = time.time_ns() % 1_000_000
    faults = await every_operation(DESCRIBED, callers, 100, seed, last=LAST)
    async with api.app.state.core.pool.acquire() as connection:
        wrong = await differences(connection)
    figures = {
        "seed": seed,
        "requests": faults.statuses.total(),
        "statuses": dict(sorted(faults.statuses.items())),
        "faults": sorted(faults.found),
        "differences": len(wrong),
    }
    write_figures("fuzz-codes-contract", figures, began)
    assert not faults.found, "\n\n".join(f"{name}\n{what}" for name, what in faults.found.items())
    assert wrong == []
