"""Why a code did or did not apply: what was told of it, in order."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.service.answers import Answer, Page, Time
from libs.service.bodies import parse_query
from libs.service.clock import format_time
from libs.service.contract import described
from libs.service.pagination import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.problems import NotFound
from libs.service.routes import json_response, permitted, staff
from services.codes.api.support import READ, core_of, desk_of
from services.codes.store import codes, history
from services.codes.store.history import Part, ToldEvent

router = APIRouter(prefix="/v1", tags=["history"])


class HistoryQuery(BaseModel):
    """The query of a history."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, max_length=CURSOR_LENGTH_MAX, description="`next_cursor` of the page before.")


class HistoryEvent(Answer):
    """One event as it was published; `user` is whom it concerns, null for what concerns all."""

    id: str
    type: str
    time: Time
    user: str | None
    actor: str | None
    data: dict[str, Any]


class History(Page):
    """Events, the oldest first."""

    data: list[HistoryEvent]


@router.get(
    "/codes/{id}/history",
    summary="What happened to a code, and why it was refused",
    **described(answer=History, query=HistoryQuery, codes=("404 code_not_found",), path="{id}"),
)
async def get_code_history(request: Request) -> Response:
    """Its events and those of its batch, in order. A refusal has its true `reason` beside what the caller was told
    (`answered`), and is there a moment after it was told.
    """
    principal = staff(request, READ)
    query = parse_query(HistoryQuery, request.query_params)
    core = core_of(request)
    code = await codes.by_id(core.pool, principal.app, request.path_params["id"])
    if code is None:
        raise NotFound("code")
    events = await history.of_code(core.pool, code.app, code.id, code.batch_id, _part(query))
    return json_response(page(events, query.limit, _place, _shown))


@router.get(
    "/redemptions/{id}/history",
    summary="What became of a redemption, step by step",
    **described(answer=History, query=HistoryQuery, codes=("404 redemption_not_found", "403 wrong_user"), path="{id}"),
)
async def get_redemption_history(request: Request) -> Response:
    """Its events in order. A user sees those of its own."""
    principal = permitted(request, READ)
    query = parse_query(HistoryQuery, request.query_params)
    redemption = await desk_of(request).find(principal.app, request.path_params["id"])
    principal.require_user(redemption.user_id)
    core = core_of(request)
    events = await history.of_redemption(core.pool, redemption.app, redemption.id, _part(query))
    return json_response(page(events, query.limit, _place, _shown))


def _part(query: HistoryQuery) -> Part:
    place = decode_cursor(query.cursor, {"place": int}) or {"place": 0}
    return Part(place["place"], query.limit + 1)


def _place(event: ToldEvent) -> dict[str, str | int]:
    return {"place": event.place}


def _shown(event: ToldEvent) -> dict[str, Any]:
    return {
        "id": event.id,
        "type": event.type,
        "time": format_time(event.time_us),
        "user": None if event.subject.startswith("@") else event.subject,
        "actor": event.actor,
        "data": event.data,
    }
