"""Payments is heard by the service's own consumer, over the broker and from its feed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
import pytest

from libs.events.bus import Bus
from libs.events.contracts.payments.events import OrderPaid, OrderRefunded
from libs.events.db import MIGRATIONS
from libs.events.feed import FeedClient
from libs.service.db import create_pool
from libs.service.migrations import migrate
from services.codes.consumers import consumer_of
from services.codes.core import LEDGER_EVENTS, PAYMENTS_EVENTS
from services.codes.tests.checkout.payments import Payments, order
from services.codes.tests.checkout.shop import APP, NOW_US, Shop
from tests.plugins.kafka import SharedEmbedded
from tests.plugins.postgres import Database, DatabaseFrom
from tests.waiting import beside, eventually

pytestmark = pytest.mark.anyio

PARTITIONS = 4


async def _prepare(database: Database) -> None:
    await migrate(database.owner_dsn, [MIGRATIONS], database.runtime)


def _away(_request: httpx.Request) -> httpx.Response:
    return httpx.Response(503)


@pytest.fixture
async def bus(embedded_broker: SharedEmbedded) -> AsyncIterator[Bus]:
    """The broker, with what codes hears."""
    topics = {PAYMENTS_EVENTS: PARTITIONS, LEDGER_EVENTS: PARTITIONS}
    await embedded_broker.create_topics(topics)
    async with Bus(embedded_broker.bootstrap, topics, timeout_s=5.0, probe_s=0.1) as made:
        yield made


@pytest.fixture
async def payments(bus: Bus, database_from: DatabaseFrom) -> AsyncIterator[Payments]:
    """The stand-in for payments."""
    database = await database_from("libs.events.payments", _prepare)
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(
            await create_pool(database.runtime_dsn, application_name="payments-stand-in")
        )
        yield await stack.enter_async_context(Payments(pool, bus, PARTITIONS))


async def test_orders_are_heard_each_once_in_its_effect(shop: Shop, bus: Bus, payments: Payments) -> None:
    await shop.configure()
    code = await shop.code("TEN", percent_off="10", amount="5")
    taken = [await shop.reserve("TEN", f"user{number}", f"order_{number}") for number in range(20)]
    events = [order(OrderPaid, one.checkout or "", (one.id,), started_us=NOW_US) for one in taken]
    async with httpx.AsyncClient(transport=httpx.MockTransport(_away)) as ledger:
        consumer = consumer_of(
            shop.core, bus, FeedClient(ledger, "http://ledger", lambda: "token"), payments.subscription().feed
        )
        # Half of it was told before anybody listened: that comes from the feed, the rest over the broker.
        for one, event in list(zip(taken, events, strict=True))[:10]:
            await payments.tell(event, app=APP, user=one.user_id)
        async with beside(*payments.parts(), consumer.run()):
            for one, event in list(zip(taken, events, strict=True))[10:]:
                await payments.tell(event, app=APP, user=one.user_id)
                await payments.tell(event, app=APP, user=one.user_id)

            async def all_confirmed() -> bool:
                return (await shop.now(code)).redeemed == len(taken)

            await eventually(all_confirmed)
            back = order(OrderRefunded, taken[0].checkout or "", (taken[0].id,), started_us=NOW_US)
            await payments.tell(back, app=APP, user=taken[0].user_id)

            async def restored() -> bool:
                return (await shop.find(taken[0].id)).status == "rolled_back"

            await eventually(restored)
    assert len(await shop.commands()) == len(taken)
    paid = await shop.core.pool.fetchval("SELECT count(*) FROM customers WHERE first_paid_at IS NOT NULL")
    assert paid == len(taken)
    assert await shop.differences() == []
