"""Redeeming codes, and what became of it."""

from __future__ import annotations

from typing import Annotated, Literal

import orjson
from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import Label, Name, User
from libs.service.answers import Answer, Credits, Page, Time
from libs.service.auth import Principal
from libs.service.bodies import CleanText, parse_body, parse_query
from libs.service.contract import described
from libs.service.i18n.negotiation import language_of
from libs.service.once import result_response, wish_of
from libs.service.pagination import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.routes import json_response, permitted, staff
from services.codes.api.support import READ, SPEND, cause_of, core_of, desk_of, require_codes
from services.codes.domain.amounts import parse_amount
from services.codes.domain.codes import Kind
from services.codes.domain.discounts import Checkout
from services.codes.domain.lockout import network_of
from services.codes.domain.redemptions import Redemption
from services.codes.domain.settling import Status
from services.codes.domain.specs import Amount
from services.codes.handlers.redeeming import shown, status_url
from services.codes.handlers.reserving import Order
from services.codes.store import redemptions as store

router = APIRouter(prefix="/v1", tags=["redemptions"])

TEXT_LENGTH_MAX = 128
REFUSALS = (
    "404 code_not_found",
    "409 code_inactive",
    "409 code_not_yet_valid",
    "409 code_expired",
    "409 code_used_up",
    "409 code_already_redeemed",
    "409 code_not_for_you",
    "409 below_minimum",
    "409 wrong_currency",
    "409 wrong_service",
    "409 codes_do_not_stack",
    "409 above_balance",
    "409 budget_spent",
    "429 locked_out",
)
"""Why a code does not work, the first one wins, `locked_out` before all."""


def _address(text: str) -> str:
    try:
        network_of(text)
    except ValueError:
        raise PydanticCustomError("invalid_client_ip", "An IPv4 or IPv6 address.") from None
    return text


ClientIp = Annotated[str, AfterValidator(_address)]
STAFF = frozenset({"manager", "admin"})
"""Roles that look after codes: every reason is shown to them, and they are never locked out."""


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class CheckoutBody(_Body):
    """What is about to be paid: minor units of an ISO 4217 currency, before any code."""

    id: Label
    amount_minor: int = Field(gt=0, le=10**15)
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    service: Name | None = None
    method: Name | None = Field(None, description="How it is paid; `manual`: a person approves it, within two days.")

    def checkout(self) -> Checkout:
        """As the rules know it."""
        return Checkout(self.id, self.amount_minor, self.currency, self.service, self.method)


class _EntryBody(_Body):
    """Who enters a code, and what for. `amount` is for a part of a gift; without it, all that is left is meant."""

    user: User
    amount: Amount | None = None
    checkout: CheckoutBody | None = None
    client_ip: ClientIp | None = Field(None, max_length=64, description="Where the user's guesses come from.")


class ValidationBody(_EntryBody):
    """The body of `POST /v1/validations`."""

    code: CleanText = Field(min_length=1, max_length=TEXT_LENGTH_MAX, description="As somebody typed it.")


class RedemptionBody(_EntryBody):
    """The body of `POST /v1/redemptions`: a `code`, or for a checkout the `entitlement` that one has left."""

    code: CleanText | None = Field(None, min_length=1, max_length=TEXT_LENGTH_MAX, description="As somebody typed it.")
    entitlement: str | None = Field(None, min_length=1, max_length=64)

    @model_validator(mode="after")
    def _one_of_both(self) -> RedemptionBody:
        if (self.code is None) == (self.entitlement is None):
            raise ValueError("either a code or an entitlement is redeemed")
        if self.checkout is None and self.entitlement is not None:
            raise ValueError("an entitlement is for a checkout")
        return self


def order_of(request: Request, principal: Principal, body: RedemptionBody | ValidationBody) -> Order:
    """What a body asks for, by whom, and in which language they are told. A user asks for itself only."""
    principal.require_user(body.user)
    return Order(
        app=principal.app,
        user=body.user,
        text=body.code or "",
        entitlement=body.entitlement if isinstance(body, RedemptionBody) else None,
        amount=None if body.amount is None else parse_amount(body.amount),
        caller=principal.sub,
        cause=cause_of(request, principal),
        checkout=None if body.checkout is None else body.checkout.checkout(),
        client_ip=body.client_ip,
        staff=principal.role in STAFF,
        language=language_of(request),
    )


class RedemptionAnswer(Answer):
    """A redemption. `reserved` waits for the ledger or for a payment, then it is `confirmed`, `released` (`reason`) or
    `expired`; a confirmed one may be `rolled_back`. `balance` is what is left on a gift. `entitlement` is the discount
    that it left for a later checkout, or, with a checkout, the one that it took."""

    id: str
    status: Status
    code: str
    kind: Kind
    user: str
    amount: Credits | None
    balance: Credits | None
    checkout: str | None
    discount_minor: int | None
    currency: str | None
    grant: str | None
    reason: str | None
    entitlement: str | None
    campaign: str | None
    batch: str | None
    reserved_at: Time
    expires_at: Time | None
    ended_at: Time | None


class RedemptionMade(RedemptionAnswer):
    """A new redemption, with what the user has `available` after it (null where the ledger did not say in time)."""

    available: Credits | None
    status_url: str | None = None


class Redemptions(Page):
    """Redemptions, the newest first."""

    data: list[RedemptionAnswer]


class ListQuery(BaseModel):
    """The query of `GET /v1/redemptions`."""

    model_config = ConfigDict(extra="forbid")

    user: User | None = None
    code: str | None = Field(None, min_length=1, max_length=64, description="The id of a code.")
    batch: str | None = Field(None, min_length=1, max_length=64)
    campaign: str | None = Field(None, min_length=1, max_length=64)
    checkout: str | None = Field(None, min_length=1, max_length=200)
    status: Literal["reserved", "confirmed", "released", "expired", "rolled_back"] | None = None
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, max_length=CURSOR_LENGTH_MAX)


@router.post(
    "/redemptions",
    summary="Redeem a code",
    status_code=201,
    **described(
        answer=RedemptionMade,
        body=RedemptionBody,
        status=201,
        codes=(
            *REFUSALS,
            "404 entitlement_not_found",
            "409 checkout_changed",
            "409 grant_refused",
            "403 feature_disabled",
        ),
    ),
)
async def create_redemption(request: Request) -> Response:
    """Take a use of the code. Credits without a checkout are granted at once: 201 when the ledger has done it, 202 with
    `status_url` when it has not told within a few seconds; it settles by itself. For a checkout the use is reserved.
    """
    principal = permitted(request, SPEND)
    core = core_of(request)
    body = parse_body(RedemptionBody, await request.body())
    wish = wish_of(request, principal, body)
    require_codes(core, principal.app)
    result = await desk_of(request).redeem(wish, order_of(request, principal, body))
    headers = {}
    if result.status < 400:
        headers["Location"] = status_url(orjson.loads(result.body)["id"])
    return result_response(result, headers)


@router.get("/redemptions", summary="Redemptions, the newest first", **described(answer=Redemptions, query=ListQuery))
async def list_redemptions(request: Request) -> Response:
    """Of the app, by user, code, batch, campaign, checkout or status. A user sees its own: it must name itself."""
    principal = permitted(request, READ)
    query = parse_query(ListQuery, request.query_params)
    if query.user is None:
        staff(request, READ)
    else:
        principal.require_user(query.user)
    rows = await store.listed(
        core_of(request).pool,
        principal.app,
        {
            "r.user_id": query.user,
            "r.code_id": query.code,
            "c.batch_id": query.batch,
            "c.campaign_id": query.campaign,
            "r.checkout": query.checkout,
            "r.status": query.status,
        },
        decode_cursor(query.cursor, {"reserved_at": int, "id": str}),
        query.limit + 1,
    )
    return json_response(page(rows, query.limit, _place, shown))


@router.get(
    "/redemptions/{id}",
    summary="A redemption",
    **described(answer=RedemptionAnswer, codes=("404 redemption_not_found", "403 wrong_user"), path="{id}"),
)
async def get_redemption(request: Request) -> Response:
    """What became of it, at any time. A user sees its own."""
    principal = permitted(request, READ)
    redemption = await desk_of(request).find(principal.app, request.path_params["id"])
    principal.require_user(redemption.user_id)
    return json_response(shown(redemption))


def _place(redemption: Redemption) -> dict[str, str | int]:
    return {"reserved_at": redemption.reserved_at, "id": redemption.id}
