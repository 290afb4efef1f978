"""Campaigns: budgets that codes share."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Name
from libs.service.answers import Answer, Credits, Page, Time
from libs.service.bodies import parse_body, parse_query
from libs.service.contract import described
from libs.service.once import result_response, wish_of
from libs.service.pagination import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.problems import NotFound
from libs.service.routes import json_response, staff
from services.codes.api.support import ADJUST, READ, core_of
from services.codes.domain.amounts import parse_amount
from services.codes.domain.specs import Amount
from services.codes.handlers.campaigns import Budgets, change, create, view
from services.codes.store import campaigns as store
from services.codes.store.campaigns import Campaign

router = APIRouter(prefix="/v1", tags=["campaigns"])

Minor = Annotated[int, Field(gt=0, le=10**15)]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    budget: Amount | None = Field(None, description="Credits that its codes may give in all; null: any amount.")
    budget_minor: Minor | None = Field(None, description="What its codes may take off in all, in minor units.")
    currency: Currency | None = Field(None, description="The currency of `budget_minor`.")


class CampaignBody(_Body):
    """The body of `POST /v1/campaigns`."""

    name: Name

    @model_validator(mode="after")
    def _currency_of_money(self) -> CampaignBody:
        if self.budget_minor is not None and self.currency is None:
            raise ValueError("minor units need their currency")
        return self


class CampaignChange(_Body):
    """The body of `PATCH /v1/campaigns/{id}`: what is not named stays; void is for good."""

    status: Literal["active", "paused", "void"] = "active"


class CampaignAnswer(Answer):
    """A campaign: `reserved` counts as given until it is released. Null budgets have no limit."""

    id: str
    name: str
    status: Literal["active", "paused", "void"]
    budget: Credits | None
    reserved: Credits
    spent: Credits
    left: Credits | None
    budget_minor: int | None
    reserved_minor: int
    spent_minor: int
    left_minor: int | None
    currency: str | None
    version: int
    created_at: Time
    created_by: str


class Campaigns(Page):
    """Campaigns, the newest first."""

    data: list[CampaignAnswer]


class ListQuery(BaseModel):
    """The query of `GET /v1/campaigns`."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["active", "paused", "void"] | None = None
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, max_length=CURSOR_LENGTH_MAX)


@router.post(
    "/campaigns",
    summary="Make a campaign",
    status_code=201,
    **described(answer=CampaignAnswer, body=CampaignBody, status=201, codes=("409 campaign_exists",)),
)
async def create_campaign(request: Request) -> Response:
    """Codes name it by its id; what they give counts against its budgets from the moment that it is reserved."""
    principal = staff(request, ADJUST)
    body = parse_body(CampaignBody, await request.body())
    budgets = Budgets(None if body.budget is None else parse_amount(body.budget), body.budget_minor, body.currency)
    result = await create(core_of(request), wish_of(request, principal, body), body.name, budgets)
    return result_response(result)


@router.patch(
    "/campaigns/{id}",
    summary="Change a campaign",
    **described(
        answer=CampaignAnswer,
        body=CampaignChange,
        codes=("404 campaign_not_found", "409 campaign_void"),
        path="{id}",
    ),
)
async def change_campaign(request: Request) -> Response:
    """Set its budgets, pause it, resume it or make it void. Codes of a campaign that is not active are not either."""
    principal = staff(request, ADJUST)
    body = parse_body(CampaignChange, await request.body())
    changes = body.model_dump(exclude_unset=True)
    if body.budget is not None:
        changes["budget"] = parse_amount(body.budget)
    wish = wish_of(request, principal, body)
    return result_response(await change(core_of(request), wish, request.path_params["id"], changes))


@router.get("/campaigns", summary="Campaigns, the newest first", **described(answer=Campaigns, query=ListQuery))
async def list_campaigns(request: Request) -> Response:
    """Of the app, with what they have given."""
    principal = staff(request, READ)
    query = parse_query(ListQuery, request.query_params)
    place = decode_cursor(query.cursor, {"created_at": int, "id": str})
    after = None if place is None else (place["created_at"], place["id"])
    rows = await store.page(core_of(request).pool, principal.app, query.status, after, query.limit + 1)
    return json_response(page(rows, query.limit, _place, view))


@router.get(
    "/campaigns/{id}",
    summary="A campaign",
    **described(answer=CampaignAnswer, codes=("404 campaign_not_found",), path="{id}"),
)
async def get_campaign(request: Request) -> Response:
    """With what it has given and what is left."""
    principal = staff(request, READ)
    found = await store.find(core_of(request).pool, principal.app, request.path_params["id"])
    if found is None:
        raise NotFound("campaign")
    return json_response(view(found))


def _place(campaign: Campaign) -> dict[str, str | int]:
    return {"created_at": campaign.created_at, "id": campaign.id}
