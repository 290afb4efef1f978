"""The feed: everything that the service has told, for consumers that heal what Kafka lost or start from nothing."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.feed import LIMIT_DEFAULT, LIMIT_MAX, render_feed
from libs.events.outbox import OutboxLog
from libs.service.answers import Answer
from libs.service.app import principal_of
from libs.service.auth import ALL_APPS
from libs.service.bodies import parse_query
from libs.service.contract import described
from libs.service.problems import WrongApp, invalid
from services.codes.api.support import EVENTS, core_of
from services.codes.core import EVENTS_TOPIC, SOURCE

router = APIRouter(prefix="/v1", tags=["events"])


class FeedQuery(BaseModel):
    """The query of `GET /v1/feed`."""

    model_config = ConfigDict(extra="forbid")

    topic: str = Field(EVENTS_TOPIC, description="The topic; the service has `codes.events` only.")
    partition: int = Field(ge=0, description="The partition of the log.")
    after: int = Field(0, ge=0, description="The `seq` after which to begin.")
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="How many events at most.")


class FeedStream(Answer):
    """An incarnation of the log and the last `seq` that it shares with the one before."""

    stream: str
    forked_at: int


class Feed(Answer):
    """Events of one partition, as CloudEvents in JSON."""

    source: str
    topic: str
    partition: int
    stream: str
    head: int
    streams: list[FeedStream]
    events: list[dict[str, object]]


@router.get("/feed", summary="The log of one partition", **described(answer=Feed, query=FeedQuery))
async def get_feed(request: Request) -> Response:
    """Events of every app in order, with the incarnations of the log and its head.

    For systems whose token is for all apps: the feed does not tell apps apart.
    """
    principal = principal_of(request)
    principal.require(EVENTS)
    if ALL_APPS not in principal.apps:
        raise WrongApp("The feed has the events of every app: it takes a token for all of them.")
    core = core_of(request)
    query = parse_query(FeedQuery, request.query_params)
    if query.topic != EVENTS_TOPIC:
        raise invalid("unknown_topic", "topic", f"The feed has {EVENTS_TOPIC} only.")
    if query.partition >= core.settings.partitions:
        raise invalid("unknown_partition", "partition", f"The log has {core.settings.partitions} partitions.")
    body = await render_feed(OutboxLog(SOURCE, core.pool), query.topic, query.partition, query.after, query.limit)
    return Response(body, media_type="application/json")
