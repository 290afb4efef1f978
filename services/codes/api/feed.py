"""The feed of all that the service has told."""

from __future__ import annotations

from starlette.requests import Request

from libs.events.feed import LIMIT_DEFAULT, LIMIT_MAX, render_feed
from libs.events.outbox import OutboxLog
from libs.service.feed_api import feed_router
from services.codes.api.support import core_of
from services.codes.core import EVENTS_TOPIC, SOURCE


async def _read(request: Request, partition: int, after: int, limit: int) -> bytes:
    return await render_feed(OutboxLog(SOURCE, core_of(request).pool), EVENTS_TOPIC, partition, after, limit)


router = feed_router(
    EVENTS_TOPIC,
    lambda request: core_of(request).settings.partitions,
    _read,
    limit_default=LIMIT_DEFAULT,
    limit_max=LIMIT_MAX,
)
