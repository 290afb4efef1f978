"""What happens when time has passed: reservations end, old answers are forgotten, news of other processes are heard."""

from __future__ import annotations

import asyncio
import logging

from libs.events.failpoints import reach
from libs.events.handling import Handling
from libs.events.outbox import Cause
from libs.service.once import forget
from libs.service.timers import Poller
from services.codes.core import SOURCE, Core
from services.codes.domain.redemptions import Claim
from services.codes.handlers import watching
from services.codes.handlers.batches import work_on
from services.codes.handlers.ending import end_redemptions
from services.codes.handlers.referrals.earning import pay_out
from services.codes.store import batches, redemptions, rewards
from services.codes.store.rewards import Due

logger = logging.getLogger(__name__)

FORGET_S = 3600.0
WATCH_S = 1.0


def expiry(core: Core) -> Poller[tuple[str, int]]:
    """Ends reservations whose time is up. Those whose command was sent have no end before its outcome."""

    async def due(now_us: int, limit: int) -> list[tuple[str, int]]:
        clocks = {app: core.clocks.now_us(app) for app in core.configs.test_apps()}
        return await redemptions.due(core.pool, clocks, now_us, limit)

    async def fire(item: tuple[str, int]) -> None:
        async with core.pool.acquire() as connection, connection.transaction():
            # What was confirmed, released or reserved again meanwhile, or waits for the ledger now, is left alone.
            claim = Claim(item[0], "expired", due_at=item[1])
            await end_redemptions(core, connection, [claim], Cause(actor=f"service:{SOURCE}"))

    return Poller(
        "reservations",
        due,
        fire,
        clock=core.clock,
        due_at_us=lambda item: item[1],
        interval_s=core.settings.expiry_s,
    )


def making(core: Core) -> Poller[tuple[str, int]]:
    """Makes batches of codes, and voids them, the oldest first: one chunk, then the next."""

    async def due(_now_us: int, limit: int) -> list[tuple[str, int]]:
        return await batches.to_work_on(core.pool, limit)

    async def fire(item: tuple[str, int]) -> None:
        await work_on(core, item[0])

    return Poller("batches", due, fire, clock=core.clock, due_at_us=lambda item: item[1], chunk=1)


def rewarding(core: Core) -> Poller[Due]:
    """Pays what referrals have earned when its hold has ended, or refuses it."""

    async def due(now_us: int, limit: int) -> list[Due]:
        clocks = {app: core.clocks.now_us(app) for app in core.configs.test_apps()}
        return await rewards.due(core.pool, now_us, clocks, limit)

    async def fire(item: Due) -> None:
        async with core.pool.acquire() as connection, connection.transaction():
            await pay_out(core, connection, item)
        reach("referral.sent")

    return Poller(
        "referral_rewards",
        due,
        fire,
        clock=core.clock,
        due_at_us=lambda item: item.due_at,
        interval_s=core.settings.expiry_s,
    )


async def hear_news(core: Core) -> None:
    """Read configurations and test clocks that other processes have set, until cancelled."""
    while True:
        try:
            await core.configs.refresh()
            await core.clocks.load()
        except Handling.PASSING as error:
            logger.warning("configurations could not be read: %r", error)
        await asyncio.sleep(core.settings.news_s)


async def forget_answers(core: Core) -> None:
    """Forget what was answered under keys that are too old to come again, until cancelled."""
    while True:
        try:
            await forget(core.pool, core.settings.key_days)
        except Handling.PASSING as error:
            logger.warning("old answers could not be forgotten: %r", error)
        await asyncio.sleep(FORGET_S)


async def watch(core: Core) -> None:
    """Tell what was refused and who seems to guess, and show how much is open, until cancelled."""
    while True:
        try:
            while await watching.tell_refusals(core) == watching.CHUNK:
                pass
            await watching.suspect(core)
            await watching.show_open(core)
            while await watching.forget_old(core) >= watching.CHUNK:
                pass
        except Handling.PASSING as error:
            logger.warning("what was refused could not be told: %r", error)
        await asyncio.sleep(WATCH_S)
