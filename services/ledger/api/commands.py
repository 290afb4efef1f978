"""The routes that change something: each hands one command to the writer, here or where the account is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from libs.service.bodies import parse_body
from libs.service.express import ExpressRoute
from services.ledger.api import answers
from services.ledger.api.contract import described
from services.ledger.api.support import (
    ADJUST,
    CONFIG,
    GRANT,
    SPEND,
    answer_response,
    core_of,
    idempotency_key,
    origin_of,
    permitted,
    user_in_path,
)
from services.ledger.handlers.commands import KINDS, Kind, Origin, request_for
from services.ledger.requests import Answer
from services.ledger.store.reads import assets_of

router = APIRouter(prefix="/v1")


@dataclass(frozen=True, slots=True)
class Route:
    """A route that takes one command. `scopes`: the caller needs one of them. `codes`: what may refuse it."""

    method: str
    path: str
    kind: str
    scopes: tuple[str, ...]
    summary: str
    answer: type[answers.Answer]
    status: int = 201
    codes: tuple[str, ...] = ()
    tag: str = "accounts"


_SHORT = ("402 insufficient_credits", "402 account_owes")
_PRICED = ("404 unknown_price",)
_QUOTED = (*_PRICED, "404 quote_not_found", "409 quote_expired")
_SPENDING = (
    *_QUOTED,
    *_SHORT,
    "409 account_frozen",
    "409 account_closed",
    "409 budget_exceeded",
    "409 too_many_members",
    "409 too_many_lots",
    "409 unique_ref_taken",
)
_HOLD = ("404 hold_not_found", "409 hold_resolved")
_ACCOUNT = ("409 account_closed",)

ROUTES = (
    Route(
        "POST",
        "/grants",
        "grant",
        (GRANT,),
        "Give credits",
        answers.Grant,
        codes=("409 account_closed", "409 too_many_lots", "409 unique_ref_taken"),
        tag="grants",
    ),
    Route(
        "POST",
        "/grants/{id}/revoke",
        "grant.revoke",
        (GRANT, ADJUST),
        "Take a grant back",
        answers.Revocation,
        codes=("404 grant_not_found", *_HOLD, "409 grant_spent", "409 unique_ref_taken"),
        tag="grants",
    ),
    Route("POST", "/charges", "charge", (SPEND,), "Spend credits", answers.Charge, codes=_SPENDING, tag="charges"),
    Route(
        "POST",
        "/charges/{id}/refund",
        "charge.refund",
        (SPEND, ADJUST),
        "Give a charge back",
        answers.Refund,
        codes=("404 charge_not_found", "409 refund_exceeds_charge", "409 too_many_lots", "409 unique_ref_taken"),
        tag="charges",
    ),
    Route(
        "POST",
        "/holds",
        "hold",
        (SPEND,),
        "Set credits aside",
        answers.Hold,
        codes=("404 grant_not_found", "403 feature_disabled", "409 too_many_holds", *_SPENDING),
        tag="holds",
    ),
    Route(
        "POST",
        "/holds/{id}/capture",
        "hold.capture",
        (SPEND,),
        "Charge what a hold has set aside",
        answers.Capture,
        codes=(*_HOLD, *_PRICED, "409 hold_not_priced", "409 capture_exceeds_tolerance", "409 too_many_lots"),
        tag="holds",
    ),
    Route(
        "POST",
        "/holds/{id}/extend",
        "hold.extend",
        (SPEND,),
        "Let a hold last longer, or pin more",
        answers.Hold,
        status=200,
        codes=(*_HOLD, *_PRICED, *_SHORT, "409 hold_not_priced", "409 account_frozen", "409 too_many_lots"),
        tag="holds",
    ),
    Route(
        "POST",
        "/holds/{id}/release",
        "hold.release",
        (SPEND,),
        "Let go of a hold",
        answers.Release,
        status=200,
        codes=_HOLD,
        tag="holds",
    ),
    Route(
        "POST",
        "/quotes",
        "quote",
        (SPEND,),
        "Ask what something costs, and have it promised",
        answers.Quote,
        codes=(*_PRICED, "409 too_many_lots"),
        tag="prices",
    ),
    Route(
        "POST",
        "/adjustments",
        "adjustment",
        (ADJUST,),
        "Correct a balance by hand",
        answers.Adjustment,
        codes=("402 insufficient_credits", "409 account_closed", "409 too_many_lots", "409 unique_ref_taken"),
        tag="grants",
    ),
    Route(
        "POST",
        "/actions",
        "action",
        (GRANT,),
        "Earn by an action",
        answers.Earning,
        codes=(
            "403 feature_disabled",
            "404 unknown_action",
            "409 already_earned",
            "409 earning_cap_reached",
            "409 account_closed",
            "409 too_many_lots",
        ),
        tag="grants",
    ),
    Route(
        "POST",
        "/imported-operations",
        "operation.import",
        (CONFIG,),
        "Keep what another system booked before",
        answers.ImportedOperation,
        codes=("404 unknown_action", "409 unique_ref_taken"),
        tag="records",
    ),
    Route(
        "POST",
        "/accounts/{user}/freeze",
        "account.freeze",
        (ADJUST,),
        "Stop charges, new holds and transfers out",
        answers.Account,
        status=200,
        codes=_ACCOUNT,
    ),
    Route(
        "POST",
        "/accounts/{user}/unfreeze",
        "account.unfreeze",
        (ADJUST,),
        "Lift a freeze",
        answers.Account,
        status=200,
        codes=("404 freeze_not_found",),
    ),
    Route(
        "POST",
        "/accounts/{user}/close",
        "account.close",
        (ADJUST,),
        "End an account",
        answers.Account,
        status=200,
        codes=_ACCOUNT,
    ),
    Route(
        "POST",
        "/accounts/{user}/erase",
        "account.erase",
        (CONFIG,),
        "Erase a user's free texts, in all assets",
        answers.Account,
        status=200,
        codes=("404 account_not_found",),
    ),
    Route(
        "PUT",
        "/accounts/{user}",
        "account.change",
        (ADJUST,),
        "Set what is given and leave the rest; opens the account",
        answers.Account,
        status=200,
        codes=(*_ACCOUNT, "404 price_list_not_found"),
    ),
    Route(
        "PUT",
        "/accounts/{user}/budgets",
        "account.budgets",
        (ADJUST,),
        "Replace the account's budgets; what is counted goes on under the same name",
        answers.BudgetsSet,
        status=200,
        codes=(*_ACCOUNT, "409 too_many_budgets", "409 unique_ref_taken"),
    ),
    Route(
        "PUT",
        "/accounts/{user}/plan",
        "account.plan",
        (GRANT, ADJUST),
        "Give the account a plan, or none",
        answers.Plan,
        status=200,
        codes=(*_ACCOUNT, "404 plan_not_found", "409 unique_ref_taken"),
    ),
    Route(
        "POST",
        "/accounts/{user}/reset",
        "account.reset",
        (ADJUST,),
        "Restore the allowance to its limit now",
        answers.Plan,
        status=200,
        codes=(*_ACCOUNT, "409 no_allowance", "409 unique_ref_taken"),
    ),
    Route(
        "PUT",
        "/accounts/{user}/thresholds",
        "account.thresholds",
        (ADJUST,),
        "Replace the account's own thresholds",
        answers.Account,
        status=200,
        codes=_ACCOUNT,
    ),
)


def _endpoint(route: Route) -> Callable[[Request], Awaitable[Response]]:
    kind, scopes = KINDS[route.kind], route.scopes
    word = "user" if "{user}" in route.path else kind.id_field if "{id}" in route.path else None

    async def endpoint(request: Request) -> Response:
        return await take(request, kind, scopes, word)

    return endpoint


async def take(request: Request, kind: Kind, scopes: tuple[str, ...], word: str | None) -> Response:
    """Take one command. `word` says what the id in the path is of."""
    core = core_of(request)
    origin, target = _asked(request, scopes, word)
    raw = await request.body()
    command = request_for(kind, parse_body(kind.body, raw or b"{}"), origin, target)
    partition = core.partition_of(command)
    writer = core.writer_of(partition)
    if writer is None:
        return await core.peers.pass_on(request, partition, raw)
    if kind.name == "account.erase" and command.asset is None:
        # The texts are the user's, whatever the asset: any account that there is can carry the event.
        command.asset = next(iter(await assets_of(core.reads, command.app, target)), None)
    return answer_response(await core.decide_by(writer, command))


def _asked(request: Request, scopes: tuple[str, ...], word: str | None) -> tuple[Origin, str]:
    """Who asks, under which key, and the id in the path."""
    principal = permitted(request, *scopes)
    target = ""
    if word == "user":
        target = user_in_path(request)
    elif word is not None:
        target = request.path_params["id"]
        core_of(request).partition_of_id(target, word)
    return origin_of(request, principal, idempotency_key(request)), target


def take_charge(request: Request, raw: bytes) -> asyncio.Future[Answer] | None:
    """As :func:`take`, for a charge that this process can decide at once; None for another."""
    core, kind = core_of(request), KINDS["charge"]
    origin, target = _asked(request, (SPEND,), None)
    command = request_for(kind, parse_body(kind.body, raw or b"{}"), origin, target)
    writer = core.writer_of(core.partition_of(command))
    return writer.submit(command) if writer is not None and core.knows(command) else None


EXPRESS = {("POST", "/v1/charges"): ExpressRoute(take_charge, answer_response)}

for _route in ROUTES:
    _kind = KINDS[_route.kind]
    router.add_api_route(
        _route.path,
        _endpoint(_route),
        methods=[_route.method],
        status_code=_route.status,
        name=_route.kind,
        summary=_route.summary,
        tags=[_route.tag],
        **described(answer=_route.answer, body=_kind.body, status=_route.status, codes=_route.codes, path=_route.path),
    )
