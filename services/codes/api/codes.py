"""Codes: made, listed, changed."""

from __future__ import annotations

from typing import Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.service.answers import Answer, Credits, Page, Time
from libs.service.auth import Principal
from libs.service.bodies import CleanText, parse_body, parse_query
from libs.service.contract import described
from libs.service.exports import MEDIA_TYPES, all_pages, export_response, file_asked, rendered
from libs.service.once import result_response, wish_of
from libs.service.pagination import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.problems import NotFound
from libs.service.routes import json_response, staff
from services.codes.api.support import ADJUST, READ, Nothing, cause_of, core_of, require_codes
from services.codes.domain.asked import ChangeCode, NewCode
from services.codes.domain.codes import Code, CodeStatus, Kind
from services.codes.domain.managing import Shown
from services.codes.domain.specs import AudienceSpec
from services.codes.handlers.changing import change
from services.codes.handlers.making import create
from services.codes.handlers.showing import code_view
from services.codes.store import codes, listing

router = APIRouter(prefix="/v1/codes", tags=["codes"])

TEXT_LENGTH_MAX = 128
CHANGES = ("404 code_not_found", "409 code_void", "409 terms_frozen")


class CodeAnswer(Answer):
    """A code. Money is in minor units of `currency`."""

    id: str
    code: str | None = Field(description="The text of a public code; of a made one only when it was made just now.")
    last4: str
    kind: Kind
    name: str | None
    status: Shown
    amount: Credits | None
    scope: list[str]
    source: str | None
    expires_after_s: int | None
    percent_off: str | None
    amount_off: int | None
    currency: str | None
    min_minor: int
    max_off_minor: int | None
    service: str | None
    max_uses: int | None
    per_user_limit: int | None
    reserved: int
    redeemed: int
    balance: Credits | None
    starts_at: Time | None
    ends_at: Time | None
    audience: AudienceSpec
    campaign: str | None
    batch: str | None
    frozen_at: Time | None
    version: int
    created_at: Time
    created_by: str


class Codes(Page):
    """Codes, the newest first."""

    data: list[CodeAnswer]


class ListQuery(BaseModel):
    """The query of the codes of an app."""

    model_config = ConfigDict(extra="forbid")

    status: Shown | None = Field(None, description="Of this status only, as of now.")
    kind: Kind | None = Field(None, description="Of this kind only.")
    batch: str | None = Field(None, min_length=1, max_length=64, description="Of this batch only.")
    campaign: str | None = Field(None, min_length=1, max_length=64, description="Of this campaign only.")
    text: CleanText | None = Field(
        None, min_length=1, max_length=TEXT_LENGTH_MAX, description="The one of this text, as typed."
    )
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")
    format: Literal["json", "csv", "jsonl"] | None = Field(None, description="All of them as a file; or ask by Accept.")


@router.post(
    "",
    summary="Make a code",
    status_code=201,
    **described(
        answer=CodeAnswer,
        body=NewCode,
        status=201,
        codes=("404 campaign_not_found", "409 code_taken", "403 feature_disabled"),
    ),
)
async def post_code(request: Request) -> Response:
    """With a chosen text, which everybody may know; or, without one, with a made text, which only this answer shows."""
    principal = staff(request, ADJUST)
    core = core_of(request)
    require_codes(core, principal.app)
    asked = parse_body(NewCode, await request.body())
    result = await create(core, wish_of(request, principal, asked), asked, cause_of(request, principal))
    return result_response(result)


@router.get("", summary="The codes of the app", **described(answer=Codes, query=ListQuery, media=MEDIA_TYPES))
async def list_codes(request: Request) -> Response:
    """The newest first; a page, or all of them as a file."""
    principal = staff(request, READ)
    query = parse_query(ListQuery, request.query_params)
    core = core_of(request)
    now_us = await core.now_us(principal.app)
    wanted = listing.CodesWanted(
        principal.app,
        now_us,
        query.status,
        query.kind,
        query.batch,
        query.campaign,
        None if query.text is None else core.digest(principal.app, query.text),
    )

    async def fetch(after: listing.Place, limit: int) -> list[Code]:
        return await listing.codes_page(core.pool, wanted, after, limit)

    def shown(code: Code) -> dict[str, Any]:
        return code_view(code, now_us)

    kind = file_asked(query.format, request.headers.get("accept", ""))
    if kind is not None:
        rows = rendered(all_pages(fetch, listing.FIRST, _place), shown)
        return export_response(kind, tuple(CodeAnswer.model_fields), rows, "codes")
    cursor = decode_cursor(query.cursor, {"created_at": int, "id": str})
    after = listing.FIRST if cursor is None else (cursor["created_at"], cursor["id"])
    found = await fetch(after, query.limit + 1)
    return json_response(page(found, query.limit, lambda code: {"created_at": code.created_at, "id": code.id}, shown))


def _place(code: Code) -> listing.Place:
    return code.created_at, code.id


@router.get("/{id}", summary="A code", **described(answer=CodeAnswer, codes=("404 code_not_found",), path="{id}"))
async def get_code(request: Request) -> Response:
    """With its uses so far."""
    principal = staff(request, READ)
    core = core_of(request)
    code = await codes.by_id(core.pool, principal.app, request.path_params["id"])
    if code is None:
        raise NotFound("code")
    return json_response(code_view(code, await core.now_us(principal.app)))


@router.patch(
    "/{id}", summary="Change a code", **described(answer=CodeAnswer, body=ChangeCode, codes=CHANGES, path="{id}")
)
async def patch_code(request: Request) -> Response:
    """The fields that are sent get new values; null takes a limit away. After the first use only `name`, `ends_at`,
    `status` and, upwards, `max_uses` may change.
    """
    principal = staff(request, ADJUST)
    asked = parse_body(ChangeCode, await request.body())
    changes = asked.model_dump(exclude_unset=True)
    status = changes.pop("status", None)
    return await _changed(request, principal, asked, changes, status)


def _verb(path: str, status: CodeStatus, summary: str, says: str) -> None:
    documented = described(answer=CodeAnswer, body=Nothing, codes=CHANGES, path=path)

    @router.post(path, summary=summary, description=says, **documented)
    async def post_status(request: Request) -> Response:
        principal = staff(request, ADJUST)
        asked = parse_body(Nothing, await request.body() or b"{}")
        return await _changed(request, principal, asked, {}, status)


_verb("/{id}/pause", "paused", "Pause a code", "Nobody can redeem it until it is resumed. What is reserved stays so.")
_verb("/{id}/resume", "active", "Resume a code", "It can be redeemed again.")
_verb("/{id}/void", "void", "Void a code", "For good. What is reserved stays so; its text stays taken.")


async def _changed(
    request: Request, principal: Principal, asked: BaseModel, changes: dict[str, Any], status: CodeStatus | None
) -> Response:
    core, wish = core_of(request), wish_of(request, principal, asked)
    code_id = request.path_params["id"]
    result = await change(core, wish, code_id, cause_of(request, principal), changes=changes, status=status)
    return result_response(result)
