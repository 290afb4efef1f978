"""`GET /v1/feed`: everything that a service has told, for consumers that heal what Kafka lost or start from nothing."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.requests import Request
from starlette.responses import Response

from libs.service.answers import Answer
from libs.service.app import principal_of
from libs.service.auth import ALL_APPS, EVENTS_READ
from libs.service.bodies import parse_query
from libs.service.contract import described
from libs.service.problems import WrongApp, invalid

Read = Callable[[Request, int, int, int], Awaitable[bytes]]
"""Gets (request, partition, after, limit); answers the body, as `libs.events.feed` describes it."""


class FeedStream(Answer):
    """An incarnation of the log; `forked_at` is the last `seq` that it shares with the one before."""

    stream: str
    forked_at: int


class Feed(Answer):
    """A part of one partition of the log; `events` are CloudEvents in their JSON format."""

    source: str
    topic: str
    partition: int
    stream: str
    head: int
    streams: list[FeedStream]
    events: list[dict[str, Any]]


class _Query(BaseModel):
    model_config = ConfigDict(extra="forbid")

    topic: str
    partition: int = Field(ge=0, description="The partition of the log.")
    after: int = Field(0, ge=0, description="The `seq` after which to begin.")
    limit: int


def feed_router(
    topic: str, partitions: Callable[[Request], int], read: Read, *, limit_default: int, limit_max: int
) -> APIRouter:
    """The route, of the one `topic` that the service has. `partitions`: how many its log has."""
    query_model = create_model(
        "FeedQuery",
        __base__=_Query,
        topic=(str, Field(topic, description=f"The topic; the service has `{topic}` only.")),
        limit=(int, Field(limit_default, ge=1, le=limit_max, description="How many events at most.")),
    )
    router = APIRouter(prefix="/v1", tags=["events"])

    @router.get("/feed", summary="The log of one partition", **described(answer=Feed, query=query_model))
    async def get_feed(request: Request) -> Response:
        """Events of every app in order, as CloudEvents in JSON, with the incarnations of the log and its head.

        For systems whose token is for all apps: the feed does not tell apps apart.
        """
        principal = principal_of(request)
        principal.require(EVENTS_READ)
        if ALL_APPS not in principal.apps:
            raise WrongApp("The feed has the events of every app: it takes a token for all of them.")
        query = parse_query(query_model, request.query_params)
        if query.topic != topic:
            raise invalid("unknown_topic", "topic", f"The feed has {topic} only.")
        if query.partition >= partitions(request):
            raise invalid("unknown_partition", "partition", f"The log has {partitions(request)} partitions.")
        body = await read(request, query.partition, query.after, query.limit)
        return Response(body, media_type="application/json")

    return router
