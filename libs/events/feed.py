"""The feed: a source's whole log over HTTP, by which consumers heal whatever the broker lost.

`GET /v1/feed?topic=&partition=&after=&limit=` answers
`{"source", "topic", "partition", "stream", "head", "streams": [{"stream", "forked_at"}], "events": [envelope]}`, where
`head` is the last `seq` of the partition and an envelope is CloudEvents' JSON format.
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import httpx
import orjson

from libs.events.envelope import Envelope, InvalidMessage, envelope_from_json, envelope_json
from libs.events.log_source import LogSource, Stream

LIMIT_DEFAULT = 500
LIMIT_MAX = 5000

Token = Callable[[], str | Awaitable[str]]


class FeedUnavailable(Exception):
    """The feed did not answer, or not with a feed; try again later."""


@dataclass(frozen=True, slots=True)
class FeedPage:
    """One answer of a feed."""

    head: int
    streams: Sequence[Stream]
    events: Sequence[Envelope]

    @property
    def stream(self) -> str:
        """The present incarnation of the log."""
        return self.streams[-1].stream


class Feed(Protocol):
    """Where a consumer pulls from."""

    async def read(self, topic: str, partition: int, after: int, limit: int = LIMIT_DEFAULT) -> FeedPage:
        """Events with `seq` > `after`, in order; :class:`FeedUnavailable` when there is no answer."""
        ...


async def render_feed(log_source: LogSource, topic: str, partition: int, after: int, limit: int) -> bytes:
    """The JSON body of one answer; the caller has checked that topic and partition are the service's own.

    At most :data:`LIMIT_MAX` events are given, whatever `limit` says.
    """
    # The head is read first: it may only be too small, never ahead of the events that follow it.
    head = (await log_source.heads()).get((topic, partition), 0)
    streams = await log_source.streams(topic, partition)
    events = await log_source.read(topic, partition, after, min(limit, LIMIT_MAX))
    return orjson.dumps(
        {
            "source": log_source.source,
            "topic": topic,
            "partition": partition,
            "stream": streams[-1].stream,
            "head": max(head, events[-1].seq or 0) if events else head,
            "streams": [{"stream": one.stream, "forked_at": one.forked_at} for one in streams],
            "events": [envelope_json(event) for event in events],
        }
    )


class FeedClient:
    """A feed over HTTP. `token` gives the bearer token for each request; the `client` has its own time-outs."""

    def __init__(self, client: httpx.AsyncClient, url: str, token: Token | None = None) -> None:
        self._client = client
        self._url = url.rstrip("/") + "/v1/feed"
        self._token = token

    async def read(self, topic: str, partition: int, after: int, limit: int = LIMIT_DEFAULT) -> FeedPage:
        """One page; :class:`FeedUnavailable` for every answer that is not one."""
        headers = {}
        if self._token is not None:
            token = self._token()
            headers["Authorization"] = f"Bearer {await token if inspect.isawaitable(token) else token}"
        query: dict[str, str | int] = {"topic": topic, "partition": partition, "after": after, "limit": limit}
        try:
            response = await self._client.get(self._url, params=query, headers=headers)
            response.raise_for_status()
            page = orjson.loads(response.content)
            return FeedPage(
                head=page["head"],
                streams=[Stream(one["stream"], one["forked_at"]) for one in page["streams"]],
                events=[envelope_from_json(event) for event in page["events"]],
            )
        except (httpx.HTTPError, orjson.JSONDecodeError, KeyError, TypeError, InvalidMessage) as error:
            raise FeedUnavailable(f"{self._url}: {error!r}") from error
