"""Batches of made codes: asked for, followed, exported once, voided."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Literal

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.service.answers import Answer, Page, Time
from libs.service.bodies import parse_body, parse_query
from libs.service.contract import described
from libs.service.exports import export_response
from libs.service.once import result_response, wish_of
from libs.service.pagination import LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.routes import json_response, staff
from services.codes.api.support import ADJUST, READ, Nothing, cause_of, core_of, require_codes
from services.codes.core import Core
from services.codes.domain.asked import NewBatch
from services.codes.handlers.batches import Texts, create_batch, exported, found, take_texts, void_batch
from services.codes.handlers.printing import print_sheet
from services.codes.handlers.showing import batch_view
from services.codes.sheets.sheet import link_of
from services.codes.store.batches import Batch, BatchStatus
from services.codes.store.listing import FIRST, batches_page

router = APIRouter(prefix="/v1/batches", tags=["batches"])

Language = Literal["en", "ar", "fa", "zh", "ru", "uk"]
EXPORT_COLUMNS = ("code", "id", "link")


class BatchAnswer(Answer):
    """A batch: `made` of `count` codes are there; `terms` are those of each of them."""

    id: str
    name: str | None
    status: BatchStatus
    count: int
    made: int
    progress: float = Field(description="From 0 to 1.")
    campaign: str | None
    exported_at: Time | None
    ready_at: Time | None
    created_at: Time
    created_by: str
    terms: dict[str, Any]


class Batches(Page):
    """Batches, the newest first."""

    data: list[BatchAnswer]


class ListQuery(BaseModel):
    """The query of the batches of an app."""

    model_config = ConfigDict(extra="forbid")

    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, description="`next_cursor` of the page before.")


class ExportQuery(BaseModel):
    """The query of an export."""

    model_config = ConfigDict(extra="forbid")

    format: Literal["csv", "jsonl", "pdf"] = Field("csv", description="`pdf`: cards to print and cut, with QR codes.")
    lang: Language = Field("en", description="The language of the cards.")


@router.post(
    "",
    summary="Make a batch of codes",
    status_code=202,
    **described(
        answer=BatchAnswer,
        body=NewBatch,
        status=202,
        codes=("404 campaign_not_found", "403 feature_disabled"),
    ),
)
async def post_batch(request: Request) -> Response:
    """Up to a million at once, all with the same terms. `Location` tells how far it is."""
    principal = staff(request, ADJUST)
    core = core_of(request)
    require_codes(core, principal.app)
    asked = parse_body(NewBatch, await request.body())
    result = await create_batch(core, wish_of(request, principal, asked), asked)
    headers = {"Location": f"/v1/batches/{orjson.loads(result.body)['id']}"} if result.status < 400 else None
    return result_response(result, headers)


@router.get("", summary="The batches of the app", **described(answer=Batches, query=ListQuery))
async def list_batches(request: Request) -> Response:
    """The newest first."""
    principal = staff(request, READ)
    query = parse_query(ListQuery, request.query_params)
    cursor = decode_cursor(query.cursor, {"created_at": int, "id": str})
    after = FIRST if cursor is None else (cursor["created_at"], cursor["id"])
    rows = await batches_page(core_of(request).pool, principal.app, after, query.limit + 1)
    return json_response(
        page(rows, query.limit, lambda batch: {"created_at": batch.created_at, "id": batch.id}, batch_view)
    )


@router.get("/{id}", summary="A batch", **described(answer=BatchAnswer, codes=("404 batch_not_found",), path="{id}"))
async def get_batch(request: Request) -> Response:
    """With its progress."""
    principal = staff(request, READ)
    return json_response(batch_view(await found(core_of(request).pool, principal.app, request.path_params["id"])))


@router.post(
    "/{id}/void",
    summary="Void a batch",
    **described(answer=BatchAnswer, body=Nothing, codes=("404 batch_not_found",), path="{id}"),
)
async def post_void(request: Request) -> Response:
    """For good: from now on none of its codes can be redeemed. What is reserved stays so."""
    principal = staff(request, ADJUST)
    asked = parse_body(Nothing, await request.body() or b"{}")
    wish = wish_of(request, principal, asked)
    batch_id = request.path_params["id"]
    return result_response(await void_batch(core_of(request), wish, batch_id, cause_of(request, principal)))


@router.get(
    "/{id}/export",
    summary="Export a batch, once",
    **described(
        answer=None,
        query=ExportQuery,
        codes=(
            "404 batch_not_found",
            "409 already_exported",
            "409 batch_not_ready",
            "409 batch_void",
            "409 glyph_missing",
            "409 sheet_too_large",
        ),
        path="{id}",
        media=("text/csv", "application/jsonl", "application/pdf"),
    ),
)
async def export_batch(request: Request) -> Response:
    """The texts of all its codes, for the only time: what they are made from is destroyed before the first one leaves.

    An export that broke off cannot be had again: void the batch then, and make another.
    """
    principal = staff(request, ADJUST)
    query = parse_query(ExportQuery, request.query_params)
    core, batch_id = core_of(request), request.path_params["id"]
    if query.format == "pdf":
        sheet = await print_sheet(core, principal.app, batch_id, query.lang)
        disposition = f'attachment; filename="{batch_id}.pdf"'
        return Response(sheet, media_type="application/pdf", headers={"Content-Disposition": disposition})
    batch, texts = await take_texts(core, principal.app, batch_id)
    return export_response(query.format, EXPORT_COLUMNS, _rows(core, batch, texts), "codes")


async def _rows(core: Core, batch: Batch, texts: Texts) -> AsyncIterator[dict[str, str]]:
    link = core.configs.get(batch.app).document.codes.link
    async for code_id, text in exported(core, batch, texts):
        yield {"code": text, "id": code_id, "link": "" if link is None else link_of(link, text)}
