"""Streams of events: an account as it changes, and what happens in an app, as it is committed."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from time import monotonic
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Name
from libs.events.partition import partition_of
from libs.service import sse
from libs.service.app import principal_of
from libs.service.auth import Principal
from libs.service.bodies import parse_query
from libs.service.problems import NotFound, Problem, invalid
from libs.service.sse import EventStream, StreamEnded
from services.ledger import metrics
from services.ledger.api.contract import described
from services.ledger.api.journal import event_view
from services.ledger.api.places import cursor_behind, places_behind
from services.ledger.api.support import EVENTS, asset_of, core_of, own_account, staff, streams_of
from services.ledger.api.views import state_view
from services.ledger.core import Core
from services.ledger.following import Following
from services.ledger.past import Moment
from services.ledger.store import heads, journal, reads
from services.ledger.store.journal import LogRow, Span
from services.ledger.store.reads import UNREACHABLE
from services.ledger.streams import UNAVAILABLE, Behind, Listener, Streams, Told

router = APIRouter(prefix="/v1")
BEGINNING = "0"
"""The `Last-Event-ID` of who has seen nothing yet and wants everything."""
CATCH_UP = 500
"""Events that are read at once for a reader who is behind."""
WINDOW = 20_000
"""Positions of each partition that are looked through at once for the events of an app, which may have few."""
REBEGIN = StreamEnded("reconnect", "The stream has been open for long enough: connect again, with Last-Event-ID.")


class AccountStreamQuery(BaseModel):
    """The query of an account's stream."""

    model_config = ConfigDict(extra="forbid")

    asset: Name | None = Field(None, description="The asset; the app's default one without it.")
    service: Name | None = Field(None, description="Count the credits that may be spent on this service only, too.")


class AppStreamQuery(BaseModel):
    """The query of an app's stream: it has none."""

    model_config = ConfigDict(extra="forbid")


class _Stream:
    """One open stream: what its reader is told, until it leaves, its token expires or its time is up."""

    def __init__(self, request: Request, listener: Listener) -> None:
        self.core: Core = core_of(request)
        self.streams: Streams = streams_of(request)
        self.listener = listener
        self._request = request
        self._ends_at = monotonic() + self.core.settings.stream_life_s

    def response(self, events: AsyncIterator[bytes]) -> Response:
        """The answer that tells these events."""
        stall_s = self.core.settings.stream_stall_s
        return EventStream(self._guarded(events), stall_s=stall_s, released=self._released)

    async def take(self) -> list[Told]:
        """What has come; nothing when it is time for a sign of life."""
        left_s = self._ends_at - monotonic()
        if left_s <= 0:
            raise REBEGIN
        return await self.listener.take(min(left_s, self.core.settings.stream_keep_alive_s))

    async def _guarded(self, events: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        yield sse.retry(self.core.settings.stream_retry_ms)
        try:
            async for chunk in events:
                # Nothing more is told to a token that has expired, or whose key was withdrawn.
                principal_of(self._request)
                yield chunk
        except StreamEnded as ended:
            code, detail = ended.code, ended.detail
        except Problem as problem:
            code, detail = problem.code, problem.detail
        except UNREACHABLE:
            code, detail = UNAVAILABLE.code, UNAVAILABLE.detail
        else:
            return
        metrics.STREAMS_ENDED.labels(code).inc()
        yield sse.last_event(code, detail)

    def _released(self, stalled: bool) -> None:
        self.streams.leave(self.listener)
        if stalled:
            metrics.STREAMS_ENDED.labels("stalled").inc()


def _opened(request: Request, principal: Principal, user: str | None = None, asset: str = "") -> _Stream:
    owner = principal.sub if principal.role == "user" else None
    return _Stream(request, streams_of(request).admit(principal.app, user, asset, owner=owner))


# An account


@router.get(
    "/accounts/{user}/stream",
    tags=["accounts"],
    summary="The account as it changes (server-sent events)",
    **described(
        answer=None,
        query=AccountStreamQuery,
        codes=(
            "404 account_not_found",
            "404 unknown_asset",
            "404 app_not_found",
            "403 wrong_user",
            "429 too_many_streams",
        ),
        path="/{user}",
        media=(sse.MEDIA_TYPE,),
        resumes=True,
    ),
)
async def stream_account(request: Request) -> Response:
    """An event `account` for every version, whose `id` is the version and whose data is `state` at its position.

    Without `Last-Event-ID` the first is the present one.
    """
    principal, user = own_account(request)
    query = parse_query(AccountStreamQuery, request.query_params)
    core = core_of(request)
    config = await core.config(principal.app)
    key = (principal.app, user, asset_of(config, query.asset))
    seen = _seen_version(request)
    if key[2] not in await reads.assets_of(core.reads, principal.app, user):
        raise NotFound("account")
    stream = _opened(request, principal, user, key[2])
    return stream.response(_account_events(stream, key, query.service, seen))


def _last_event_id(request: Request) -> str | None:
    return request.headers.get("last-event-id") or None


def _seen_version(request: Request) -> int | None:
    text = _last_event_id(request)
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 18):
        raise invalid("invalid_cursor", "Last-Event-ID", "Send the id of the last event of this stream, unchanged.")
    return int(text)


async def _account_events(
    stream: _Stream, key: tuple[str, str, str], service: str | None, seen: int | None
) -> AsyncIterator[bytes]:
    following = Following(stream.core, key, partition_of(key[0], key[1], stream.core.partitions))

    async def told(moment: Moment) -> bytes:
        zone = (await stream.core.config(key[0])).at(moment.time_us).zone
        view = state_view(moment.account, moment.position, moment.time_us, service, zone)
        return sse.event(orjson.dumps(view), name="account", id=str(moment.account.version))

    while True:
        await stream.streams.follow(stream.listener)
        async for moment in following.catch_up(seen):
            seen = moment.account.version
            yield await told(moment)
        try:
            while True:
                events = await stream.take()
                found = [await following.after(each.row) for each in events]
                moments = [moment for moment in found if moment is not None]
                if moments:
                    seen = moments[-1].account.version
                yield b"".join([await told(moment) for moment in moments]) or sse.KEEP_ALIVE
        except Behind:
            continue


# An app


@router.get(
    "/stream",
    tags=["events"],
    summary="Events of the app as they are committed (server-sent events)",
    **described(
        answer=None, query=AppStreamQuery, codes=("429 too_many_streams",), media=(sse.MEDIA_TYPE,), resumes=True
    ),
)
async def stream_events(request: Request) -> Response:
    """Every event with its type as the event's name; its `id` is a place in the log, to go on from exactly."""
    principal = staff(request, EVENTS)
    parse_query(AppStreamQuery, request.query_params)
    core = core_of(request)
    places = await _seen_places(request, core)
    stream = _opened(request, principal)
    return stream.response(_app_events(stream, principal.app, places))


async def _seen_places(request: Request, core: Core) -> dict[int, int] | None:
    """How far the reader has seen each partition; None for who asks for what comes from now on."""
    text = _last_event_id(request)
    if text is None:
        return None
    if text == BEGINNING:
        return dict.fromkeys(range(core.partitions), 0)
    places = places_behind(text, core.partitions)
    ends = await heads.positions(core.reads)
    if any(place > ends[partition] for partition, place in places.items()):
        raise invalid("invalid_cursor", "Last-Event-ID", "The log ends before this place: it is of another log.")
    return places


async def _app_events(stream: _Stream, app: str, places: dict[int, int] | None) -> AsyncIterator[bytes]:
    while True:
        start = await stream.streams.follow(stream.listener, places)
        async for chunk in _from_log(stream, app, start if places is None else places, start):
            yield chunk
        places = start
        yield sse.place(cursor_behind(places))
        try:
            while True:
                events = await stream.take()
                yield b"".join([_text_of(told) for told in events]) or sse.KEEP_ALIVE
                if events:
                    places = events[-1].places
        except Behind:
            continue


def _text_of(told: Told) -> bytes:
    if not told.text and told.places is not None:
        told.text = _text(told.row, told.places)
    return told.text


def _text(row: LogRow, places: Mapping[int, int]) -> bytes:
    view: dict[str, Any] = event_view(row)
    return sse.event(orjson.dumps(view), name=row.type, id=cursor_behind(places))


async def _from_log(stream: _Stream, app: str, places: dict[int, int], up_to: dict[int, int]) -> AsyncIterator[bytes]:
    """The app's events between two places, from the log."""
    places = dict(places)
    while spans := [
        Span(number, place, min(up_to[number], place + WINDOW))
        for number, place in places.items()
        if place < up_to[number]
    ]:
        rows = await journal.app_events_in(stream.core.reads, app, spans, CATCH_UP)
        chunk = b""
        for row in rows:
            places[row.partition] = row.position
            chunk += _text(row, places)
        if len(rows) < CATCH_UP:
            places.update({span.partition: span.up_to for span in spans})
            chunk += sse.place(cursor_behind(places))
        yield chunk
