"""Stand-ins for those whom codes hears: they tell from an outbox, by stamper, relay and feed, as the services do."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Coroutine
from typing import Any, Self

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from libs.events.bus import Bus
from libs.events.consumer import Subscription
from libs.events.contracts.base import Contract
from libs.events.contracts.payments.events import OrderEvent, OrderExpired, OrderFailed, OrderPaid, OrderRefunded
from libs.events.db import Pool
from libs.events.envelope import time_text
from libs.events.feed import FeedClient, render_feed
from libs.events.outbox import Cause, Outbox, OutboxLog, now_us
from libs.events.relay import Relay
from libs.events.stamper import Stamper

SOURCE = "payments"
TOPIC = "payments.events"


def order(
    kind: type[OrderEvent],
    checkout: str,
    redemptions: tuple[str, ...] = (),
    *,
    started_us: int = 0,
    amount_minor: int = 4000,
    currency: str = "USD",
    whole: bool = True,
    first: bool = False,
) -> OrderEvent:
    """What payments tells of an order: `kind` is the event's class."""
    at = time_text(started_us)
    fields: dict[str, Any] = {
        "order": checkout,
        "checkout": checkout,
        "total_minor": amount_minor,
        "amount_minor": amount_minor,
        "currency": currency,
        "redemptions": redemptions,
        "method": "card",
        "started_at": at,
    }
    if kind is OrderPaid:
        fields |= {"payment": "payment_" + checkout, "settled_at": at, "first": first}
    elif kind is OrderFailed:
        fields |= {"failed_at": at, "reason": "card_declined"}
    elif kind is OrderExpired:
        fields |= {"expired_at": at}
    elif kind is OrderRefunded:
        back = amount_minor if whole else 1
        fields |= {
            "refund": "refund_" + secrets.token_hex(4),
            "refunded_at": at,
            "refunded_minor": back,
            "refunded_total_minor": back,
            "whole": whole,
            "reason": "requested_by_customer",
            "first": first,
        }
    return kind.model_validate(fields)


class Payments:
    """A service's messaging over a database of its own, that of payments unless another `source` and `topic` are named.
    `parts` run beside a test."""

    def __init__(
        self,
        pool: Pool,
        bus: Bus,
        partitions: int,
        *,
        source: str = SOURCE,
        topic: str = TOPIC,
        clock: Callable[[], int] = now_us,
    ) -> None:
        self.pool = pool
        self._bus = bus
        self._partitions = partitions
        self._source = source
        self._topic = topic
        self._outbox = Outbox(source, partitions, clock)
        self._log = OutboxLog(source, pool)
        self.app = Starlette(routes=[Route("/v1/feed", self._feed)])
        self._http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url=f"http://{source}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def tell(self, event: Contract, *, app: str, user: str) -> None:
        """Write an event into the outbox, in a transaction of its own."""
        async with self.pool.acquire() as connection, connection.transaction():
            await self._outbox.add(connection, event, app=app, user=user, cause=Cause(actor=self._source))

    def parts(self) -> list[Coroutine[Any, Any, None]]:
        """What makes the events travel: stamper and relay."""
        relay = Relay(
            self._log,
            self.pool,
            self._bus,
            {self._topic: self._partitions},
            poll_s=0.01,
            heartbeat_s=0.2,
            retry_s=0.05,
        )
        return [self.numbering(), relay.run()]

    async def numbering(self) -> None:
        """The stamper: with it alone, events are in the feed and on no topic."""
        await Stamper(self.pool, poll_s=0.01).run()

    def subscription(self) -> Subscription:
        """How codes listens to it."""
        feed = FeedClient(self._http, f"http://{self._source}", lambda: "token")
        return Subscription(self._source, self._topic, range(self._partitions), feed)

    async def _feed(self, request: Request) -> Response:
        query = request.query_params
        body = await render_feed(
            self._log, query["topic"], int(query["partition"]), int(query["after"]), int(query["limit"])
        )
        return Response(body, media_type="application/json")
