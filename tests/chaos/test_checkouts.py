"""Codes at checkouts while whoever reserves and whoever hears payments dies: every order ends as it was told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from libs.events.bus import Bus
from libs.events.contracts.payments.events import OrderEvent, OrderExpired, OrderFailed, OrderPaid, OrderRefunded
from libs.events.db import MIGRATIONS
from libs.service.clock import parse_time
from libs.service.db import connect, create_pool
from libs.service.migrations import migrate
from services.codes.store.verifying import differences
from services.codes.tests.checkout.payments import SOURCE, TOPIC, Payments, order
from tests.chaos.cluster import APP, quiet_port
from tests.chaos.codes import CodesStage, codes_stage
from tests.chaos.test_codes import dying, whole
from tests.waiting import beside, eventually

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

OF_DOORS = ("redemption.taken", "redemption.reserved", "redemption.committed")
OF_WORKER = ("checkout.told", "redemption.ended", "checkout.ended", "redemption.answered")
"""Before what payments told takes effect, in the middle of it, before its commit, before a grant is written down."""
STORIES: list[tuple[tuple[type[OrderEvent], ...], str]] = [
    ((OrderPaid,), "confirmed"),
    ((OrderPaid, OrderRefunded), "rolled_back"),
    ((OrderFailed,), "released"),
    ((OrderExpired, OrderPaid), "confirmed"),
]
LIMIT = 16


@dataclass(slots=True)
class Market:
    """Codes, and payments beside it."""

    stage: CodesStage
    payments: Payments

    async def reserve(self, text: str, number: int) -> dict[str, Any] | None:
        """Reserve for a checkout as payments does: again under the same key until it is decided; None if refused."""
        name = f"{text}-{number}"
        bought = {"id": f"order_{name}", "amount_minor": 1000, "currency": "USD"}
        while True:
            try:
                answer = await self.stage.ask({"code": text, "user": name, "checkout": bought}, name)
            except Exception:
                await asyncio.sleep(0.05)
                continue
            if answer.status_code == 201:
                made: dict[str, Any] = answer.json()
                return made
            if answer.status_code == 409:
                assert answer.json()["code"] == "code_used_up", answer.text
                return None
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _served(payments: Payments, port: int) -> AsyncIterator[None]:
    """The feed of payments, for other processes."""
    server = uvicorn.Server(uvicorn.Config(payments.app, port=port, log_level="warning", lifespan="off"))
    running = asyncio.create_task(server._serve())
    try:
        yield
    finally:
        server.should_exit = True
        await running


@pytest.fixture(scope="module")
async def market(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Market]:
    """One market for the trials of this file."""
    port = quiet_port()
    directory: Path = tmp_path_factory.mktemp("market")
    address = f"http://127.0.0.1:{port}"
    async with AsyncExitStack() as around:
        stage = await around.enter_async_context(codes_stage(directory, TALLYSTICK_PAYMENTS_URL=address))
        cluster = stage.cluster
        await asyncio.to_thread(cluster.postgres.ensure_service, SOURCE)
        await migrate(cluster.owner_dsn(SOURCE), [MIGRATIONS], SOURCE)
        bus = Bus(f"file:{cluster.data / 'broker.json'}", {TOPIC: cluster.partitions}, client_id=SOURCE)
        await around.enter_async_context(bus)
        pool = await around.enter_async_context(await create_pool(cluster.dsn(SOURCE), application_name=SOURCE))
        payments = await around.enter_async_context(Payments(pool, bus, cluster.partitions))
        await around.enter_async_context(_served(payments, port))
        await around.enter_async_context(beside(*payments.parts()))
        yield Market(stage, payments)


@pytest.mark.parametrize("point", [*OF_DOORS, *OF_WORKER])
async def test_whoever_dies_every_order_ends_as_it_was_told(market: Market, point: str) -> None:
    stage = market.stage
    doomed = [stage.worker] if point in OF_WORKER else stage.doors
    await whole(stage)
    text = await stage.code(kind="discount", percent_off="10", amount="5", max_uses=LIMIT)
    for process in doomed:
        await process.stop()
    before = {process.name: process.starts for process in doomed}
    told: dict[str, str] = {}
    async with beside(dying(doomed, point, kills=3)):
        made = [one for one in await asyncio.gather(*[market.reserve(text, n) for n in range(2 * LIMIT)]) if one]
        for number, one in enumerate(made):
            kinds, told[one["id"]] = STORIES[number % len(STORIES)]
            for kind in (*kinds, *kinds):
                event = order(kind, one["checkout"], (one["id"],), started_us=parse_time(one["reserved_at"]))
                await market.payments.tell(event, app=APP, user=one["user"])

        async def all_ended() -> bool:
            rows = await _rows(stage, "SELECT id, status FROM redemptions WHERE id = ANY($1)", list(told))
            return {row["id"]: row["status"] for row in rows} == told

        await eventually(all_ended, "every order ends as it was told", 150.0)

        async def all_answered() -> bool:
            return not await stage.sql("SELECT count(*) FROM sent_commands WHERE answered_at IS NULL")

        await eventually(all_answered, "the ledger has told of all credits", 150.0)
    assert len(made) == LIMIT
    assert sum(process.starts - before[process.name] - 1 for process in doomed), f"nobody died at {point}"
    connection = await connect(stage.cluster.owner_dsn("codes"), application_name="trial")
    try:
        assert [str(one) for one in await differences(connection)] == []
    finally:
        await connection.close()
    users = [one["user"] for one in made]
    paid = sum(status == "confirmed" for status in told.values())
    assert await stage.sql("SELECT redeemed FROM codes WHERE text = $1", text) == paid
    settled = await stage.cluster.sql("SELECT coalesce(sum(settled), 0) FROM accounts WHERE user_id = ANY($1)", users)
    assert settled == 5 * paid


async def _rows(stage: CodesStage, query: str, *arguments: Any) -> list[Any]:
    connection = await connect(stage.cluster.owner_dsn("codes"), application_name="trial")
    try:
        return list(await connection.fetch(query, *arguments))
    finally:
        await connection.close()
