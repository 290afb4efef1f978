"""Dry runs of codes: for a page that shows what a code would do before anybody agrees to it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import ConfigDict
from starlette.requests import Request
from starlette.responses import Response

from libs.service.answers import Answer, Credits, Time
from libs.service.bodies import parse_body
from libs.service.clock import format_time
from libs.service.contract import described
from libs.service.i18n.negotiation import language_of
from libs.service.routes import json_response, permitted
from services.codes.api.redemptions import ValidationBody, order_of
from services.codes.api.support import ADJUST, GRANT, SPEND, core_of, require_codes
from services.codes.domain.amounts import format_amount
from services.codes.domain.codes import Kind
from services.codes.handlers.guarding import Told
from services.codes.handlers.refusing import facts_shown, problem_of, said
from services.codes.handlers.validating import Validation, validate

router = APIRouter(prefix="/v1", tags=["validations"])


class Reason(Answer):
    """Why a code does not work: `code` is for programs, the rest for people. Further fields as in the refusal."""

    model_config = ConfigDict(extra="allow")

    code: str
    title: str
    detail: str
    next: str


class ValidationAnswer(Answer):
    """`valid`, and what it would give: credits of `amount` in a lot that expires at `lot_expires_at`, and
    `discount_minor` off the checkout. Otherwise every reason, the one that a redemption would be refused with first.
    """

    valid: bool
    code: str | None
    kind: Kind | None
    amount: Credits | None
    scope: list[str]
    source: str | None
    lot_expires_at: Time | None
    discount_minor: int | None
    currency: str | None
    reasons: list[Reason]


@router.post(
    "/validations",
    summary="What a code would do",
    **described(
        answer=ValidationAnswer,
        body=ValidationBody,
        codes=("429 locked_out", "403 feature_disabled", "403 wrong_user"),
        key="none",
    ),
)
async def create_validation(request: Request) -> Response:
    """Takes nothing and needs no key. A code that does not exist for who entered it counts as a guess."""
    principal = permitted(request, SPEND, GRANT, ADJUST)
    core = core_of(request)
    body = parse_body(ValidationBody, await request.body())
    require_codes(core, principal.app)
    order = order_of(request, principal, body)
    zone = core.configs.get(order.app).document.zone
    try:
        found = await validate(core, order)
    except Told as told:
        raise problem_of(told.refusal, order, told.code, zone) from None
    reasons = []
    for reason in found.reasons:
        text = said(reason, order, found.code, zone)
        words = {"code": reason.code, "title": text.title, "detail": text.detail, "next": text.next}
        reasons.append({**facts_shown(reason), **words})
    headers = {"Content-Language": language_of(request), "Vary": "Accept-Language"}
    return json_response({**_shown(found), "reasons": reasons}, headers=headers)


def _shown(found: Validation) -> dict[str, Any]:
    code = found.code
    lot = None if code is None else code.terms.credits
    discount = None if code is None else code.terms.discount
    return {
        "valid": not found.reasons,
        "code": None if code is None else code.id,
        "kind": None if code is None else code.kind,
        "amount": None if found.amount is None else format_amount(found.amount),
        "scope": [] if lot is None else list(lot.scope),
        "source": None if code is None or lot is None else code.source,
        "lot_expires_at": None if found.lot_expires_at is None else format_time(found.lot_expires_at),
        "discount_minor": found.discount_minor,
        "currency": None if discount is None else discount.currency,
    }
