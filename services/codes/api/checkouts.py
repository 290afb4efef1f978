"""What checkouts do with their reservations, and what users may take to one."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Moment, Reason, User
from libs.service.answers import Answer, Page, Time
from libs.service.bodies import parse_body, parse_query
from libs.service.clock import from_datetime
from libs.service.contract import described
from libs.service.once import result_response, wish_of
from libs.service.pagination import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.routes import json_response, permitted, staff
from services.codes.api.redemptions import RedemptionAnswer
from services.codes.api.support import READ, SPEND, cause_of, core_of
from services.codes.handlers.checkouts import confirm, entitlement_view, release
from services.codes.store import entitlements as store
from services.codes.store.entitlements import Entitlement

router = APIRouter(prefix="/v1", tags=["checkouts"])

ENDED = ("404 redemption_not_found", "409 redemption_ended", "409 redemption_without_checkout")


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class ConfirmBody(_Body):
    """The body of `POST /v1/redemptions/{id}/confirm`."""

    started_at: Moment | None = Field(None, description="When the payment began; now, if it is not said.")


class ReleaseBody(_Body):
    """The body of `POST /v1/redemptions/{id}/release`."""

    reason: Reason | None = Field(None, description="A short code that says why.")


class EntitlementAnswer(Answer):
    """The discount of a code that was redeemed without a checkout: to be taken once, without another use."""

    id: str
    status: Literal["available", "reserved", "used", "void"]
    code: str
    name: str | None
    user: str
    redemption: str
    percent_off: str | None
    amount_off: int | None
    currency: str | None
    min_minor: int
    max_off_minor: int | None
    service: str | None
    created_at: Time
    ends_at: Time


class Entitlements(Page):
    """Entitlements, the one that ends first first."""

    data: list[EntitlementAnswer]


class ListQuery(BaseModel):
    """The query of `GET /v1/entitlements`."""

    model_config = ConfigDict(extra="forbid")

    user: User
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, max_length=CURSOR_LENGTH_MAX)


@router.post(
    "/redemptions/{id}/confirm",
    summary="The checkout was paid",
    **described(answer=RedemptionAnswer, body=ConfirmBody, codes=ENDED, path="{id}"),
)
async def confirm_redemption(request: Request) -> Response:
    """Spend the use that was reserved. It must have stood when the payment began, even if that settles much later.

    Credits that the code adds are granted then. `payments.order_paid` does the same, and both together do it once.
    """
    principal = staff(request, SPEND)
    body = parse_body(ConfirmBody, await request.body() or b"{}")
    began_us = None if body.started_at is None else from_datetime(body.started_at)
    wish, cause = wish_of(request, principal, body), cause_of(request, principal)
    return result_response(await confirm(core_of(request), wish, request.path_params["id"], began_us, cause))


@router.post(
    "/redemptions/{id}/release",
    summary="The checkout does without the code",
    **described(answer=RedemptionAnswer, body=ReleaseBody, codes=ENDED, path="{id}"),
)
async def release_redemption(request: Request) -> Response:
    """Give the reserved use back. It can be reserved again for the same checkout while the code's limits allow it."""
    principal = staff(request, SPEND)
    body = parse_body(ReleaseBody, await request.body() or b"{}")
    wish, cause = wish_of(request, principal, body), cause_of(request, principal)
    return result_response(await release(core_of(request), wish, request.path_params["id"], body.reason, cause))


@router.get(
    "/entitlements",
    summary="What a user may take to a checkout",
    **described(answer=Entitlements, query=ListQuery, codes=("403 wrong_user",)),
)
async def list_entitlements(request: Request) -> Response:
    """Those that have not ended. A user sees its own."""
    principal = permitted(request, READ)
    query = parse_query(ListQuery, request.query_params)
    principal.require_user(query.user)
    core = core_of(request)
    place = decode_cursor(query.cursor, {"ends_at": int, "id": str})
    after = None if place is None else (place["ends_at"], place["id"])
    now_us = await core.now_us(principal.app)
    rows = await store.page(core.pool, principal.app, query.user, now_us=now_us, after=after, limit=query.limit + 1)
    return json_response(page(rows, query.limit, _place, entitlement_view))


def _place(entitlement: Entitlement) -> dict[str, str | int]:
    return {"ends_at": entitlement.ends_at, "id": entitlement.id}
