"""The feed of the whole log, partition by partition."""

from __future__ import annotations

from starlette.requests import Request

from libs.events.feed import LIMIT_DEFAULT, LIMIT_MAX, render_feed
from libs.service.feed_api import feed_router
from services.ledger.api.support import core_of
from services.ledger.store.log_source import EVENTS_TOPIC, LedgerLog


async def _read(request: Request, partition: int, after: int, limit: int) -> bytes:
    return await render_feed(LedgerLog(core_of(request).reads), EVENTS_TOPIC, partition, after, limit)


router = feed_router(
    EVENTS_TOPIC,
    lambda request: core_of(request).partitions,
    _read,
    limit_default=LIMIT_DEFAULT,
    limit_max=LIMIT_MAX,
)
