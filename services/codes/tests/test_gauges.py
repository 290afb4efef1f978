"""What the worker shows of what has not ended."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from prometheus_client import REGISTRY

from libs.events.contracts.ledger.commands import RevokeGrant
from libs.events.contracts.payments.events import OrderPaid, OrderRefunded
from services.codes.handlers import watching
from services.codes.jobs import watch
from services.codes.tests.checkout.payments import order
from services.codes.tests.checkout.shop import NOW_US, Shop, grant_of, shop_at
from services.codes.tests.office import office, prepare_codes
from tests.plugins.postgres import DatabaseFrom
from tests.waiting import beside, eventually

pytestmark = pytest.mark.anyio


@pytest.fixture
async def shop(database_from: DatabaseFrom, tmp_path: Path) -> AsyncIterator[Shop]:
    """Codes and checkouts on a database of their own."""
    database = await database_from("services.codes", prepare_codes)
    async with AsyncExitStack() as stack:
        yield await stack.enter_async_context(shop_at(database, tmp_path))


def shown(name: str) -> float:
    """A gauge of the service."""
    value = REGISTRY.get_sample_value(f"codes_{name}")
    assert value is not None
    return value


async def test_open_reservations_and_the_oldest_command_are_shown_until_they_end(shop: Shop) -> None:
    await shop.configure()
    await shop.code("TEN", percent_off="10")
    await shop.code("GIVE", kind="recharge", amount="5")
    await watching.show_open(shop.core)
    assert (shown("reservations_open"), shown("oldest_unsettled_timestamp_seconds")) == (0, 0)
    await shop.reserve("TEN", "ann", "order_1")
    await watching.show_open(shop.core)
    # A checkout waits for its payment and not for the ledger.
    assert (shown("reservations_open"), shown("oldest_unsettled_timestamp_seconds")) == (1, 0)
    before = time.time()
    await shop.reserve("GIVE", "ann")
    between = time.time()
    await shop.reserve("GIVE", "bob")
    await watching.show_open(shop.core)
    assert shown("reservations_open") == 3
    assert before - 1 < shown("oldest_unsettled_timestamp_seconds") < between + 1
    await shop.ledger_answers()
    await watching.show_open(shop.core)
    assert (shown("reservations_open"), shown("oldest_unsettled_timestamp_seconds")) == (1, 0)


async def test_the_worker_shows_them_by_itself(shop: Shop) -> None:
    await shop.configure()
    await shop.code("TEN", percent_off="10")
    await watching.show_open(shop.core)
    await shop.reserve("TEN", "ann", "order_1")

    async def is_shown() -> bool:
        return shown("reservations_open") == 1

    async with beside(watch(shop.core)):
        await eventually(is_shown)


async def test_credits_that_were_paid_for_and_refused_are_shown_until_somebody_has_seen_to_it(shop: Shop) -> None:
    await shop.configure()
    await shop.code("BOTH", percent_off="20", amount="200")
    first, second = [await shop.reserve("BOTH", user, f"order_of_{user}") for user in ("ann", "bob")]
    for one in (first, second):
        await shop.tell(order(OrderPaid, one.checkout or "", (one.id,), started_us=NOW_US), user=one.user_id)
    await watching.show_open(shop.core)
    assert shown("grants_refused_after_payment") == 0
    await shop.ledger_answers(refusing=["ledger.grant_credits.v1"])
    # A recharge that is refused gives its use back: nobody has paid for it.
    await shop.code("GIVE", kind="recharge", amount="5")
    await shop.reserve("GIVE", "eve")
    await shop.ledger_answers(refusing=["ledger.grant_credits.v1"])
    await watching.show_open(shop.core)
    assert shown("grants_refused_after_payment") == 2

    # The ways out of the runbook's page: the order is refunded, or the credits are given by hand and written down.
    await shop.tell(order(OrderRefunded, second.checkout or "", (second.id,), started_us=NOW_US), user=second.user_id)
    await shop.core.pool.execute(_written_down(), grant_of(first.id), first.id)
    await watching.show_open(shop.core)
    assert shown("grants_refused_after_payment") == 0
    assert (await shop.find(first.id)).grant == grant_of(first.id)
    await shop.tell(order(OrderRefunded, first.checkout or "", (first.id,), started_us=NOW_US), user=first.user_id)
    ((_, revoke),) = await shop.commands()
    assert isinstance(revoke, RevokeGrant)
    assert revoke.grant == grant_of(first.id)
    assert await shop.differences() == []


def _written_down() -> str:
    """The page's statement, with parameters of the driver."""
    page = Path("docs/runbooks/CodesGrantsRefusedAfterPayment.md").read_text()
    statement = page[page.index("UPDATE redemptions") :].partition(";")[0]
    return statement.replace(":'grant'", "$1::text").replace(":'redemption'", "$2")


async def test_the_oldest_batch_that_is_being_made_is_shown(database_from: DatabaseFrom, tmp_path: Path) -> None:
    async with office(await database_from("services.codes", prepare_codes), tmp_path) as manager:
        asked_s = manager.clock.now_us() / 1_000_000
        for _ in range(2):
            await manager.post("/batches", {"kind": "recharge", "amount": "5", "count": 3})
            manager.clock.advance(60)
        await watching.show_open(manager.core)
        assert shown("oldest_batch_timestamp_seconds") == asked_s
        await manager.work()
        await watching.show_open(manager.core)
        assert shown("oldest_batch_timestamp_seconds") == 0
