"""The routes of referrals."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import APIRouter
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from libs.events.db import Connection
from libs.service.bodies import parse_body, parse_query
from libs.service.contract import described
from libs.service.exports import MEDIA_TYPES, all_pages, export_response, file_asked, rendered
from libs.service.i18n.negotiation import language_of
from libs.service.once import Result, once, result_response, wish_of
from libs.service.pagination import decode_cursor, page
from libs.service.problems import ScopeMissing, invalid
from libs.service.routes import json_response, permitted, staff, user_in_path
from services.codes.api.referrals.bodies import (
    BindBody,
    ListQuery,
    OwnAnswer,
    OwnCodeBody,
    ReferralAnswer,
    Referrals,
    ReviewBody,
    SignalsOf,
)
from services.codes.api.referrals.views import own_shown, shown
from services.codes.api.support import ADJUST, GRANT, READ, SPEND, cause_of, core_of
from services.codes.core import Core
from services.codes.domain import texts
from services.codes.domain.referrals.signals import Digests, InvalidSignal, SignalKind, digests_of
from services.codes.handlers.guarding import Told, admit, missed
from services.codes.handlers.referrals.binding import Coming, bind
from services.codes.handlers.referrals.owning import OwnCode, make_own, programme_of
from services.codes.handlers.referrals.reviewing import Verdict, approve, refuse
from services.codes.handlers.refusing import refused
from services.codes.handlers.reserving import Order
from services.codes.store import referrals as store
from services.codes.store import rewards as rewards_store
from services.codes.store.referrals import Referral, Wanted

router = APIRouter(prefix="/v1/referrals", tags=["referrals"])

_DISABLED = "403 feature_disabled"


@router.put(
    "/{user}",
    summary="A user's own code",
    **described(
        answer=OwnAnswer,
        body=OwnCodeBody,
        key="none",
        path="/{user}",
        codes=(_DISABLED, "403 own_text_disabled", "403 wrong_user", "409 code_taken", "409 too_many_codes"),
    ),
)
async def put_own(request: Request) -> Response:
    """Make the code by which others come, or find it. A chosen text becomes the one that is shown; earlier ones still
    bind. A user may do this for itself. Asking again changes nothing, so no key is needed.
    """
    principal = permitted(request, READ)
    if principal.role != "user":
        permitted(request, SPEND, GRANT)
    user = user_in_path(request)
    principal.require_user(user)
    body = parse_body(OwnCodeBody, await request.body() or b"{}")
    core = core_of(request)
    signals = _digests(core, principal.app, body)
    if signals and SPEND not in principal.scopes:
        raise ScopeMissing(SPEND)
    text = None if body.code is None else _chosen(body.code)
    async with core.pool.acquire() as connection, connection.transaction():
        await make_own(core, connection, OwnCode(principal.app, user, principal.actor, text, signals))
    return json_response(await own_shown(core, principal.app, user))


@router.get(
    "/{user}",
    summary="A user's own code and what came of it",
    **described(answer=OwnAnswer, path="/{user}", codes=(_DISABLED, "403 wrong_user")),
)
async def get_own(request: Request) -> Response:
    """The code and its link, how many came by it and how far they are, rewards, and what the month has left."""
    principal = permitted(request, READ)
    user = user_in_path(request)
    principal.require_user(user)
    core = core_of(request)
    programme_of(core, principal.app)
    return json_response(await own_shown(core, principal.app, user))


@router.post(
    "",
    summary="Bind a user to who brought them",
    status_code=201,
    **described(
        answer=ReferralAnswer,
        body=BindBody,
        status=201,
        codes=(
            _DISABLED,
            "404 code_not_found",
            "409 already_bound",
            "409 already_paid",
            "409 self_referral",
            "409 referral_cycle",
            "429 locked_out",
        ),
    ),
)
async def create_referral(request: Request) -> Response:
    """Once for each user, before their first payment. Signals that the user and who would earn are one person refuse
    it; several soft ones make it wait for an approval.
    """
    principal = permitted(request, SPEND)
    core = core_of(request)
    body = parse_body(BindBody, await request.body())
    signals = _digests(core, principal.app, body)
    programme_of(core, principal.app)
    coming = Coming(
        app=principal.app,
        user=body.user,
        code_text=body.code,
        signals=signals,
        actor=principal.actor,
        cause=cause_of(request, principal),
    )
    order = Order(
        app=coming.app,
        user=coming.user,
        text=body.code,
        caller=principal.sub,
        cause=coming.cause,
        client_ip=body.client_ip,
        language=language_of(request),
    )
    wish = wish_of(request, principal, _without_signals(body, signals))

    async def effect(connection: Connection) -> Result:
        try:
            await admit(core, connection, order)
            made = await bind(core, connection, coming)
            if made is None:
                await missed(core, connection, order)
        except Told as told:
            return refused(core, told, order, wish)
        return Result(201, orjson.dumps(shown(made, [])))

    return result_response(await once(core.pool, wish, effect))


@router.get(
    "",
    summary="Referrals, the newest first",
    **described(answer=Referrals, query=ListQuery, media=MEDIA_TYPES),
)
async def list_referrals(request: Request) -> Response:
    """Of the app, by status, referrer or referee; `status=flagged` is what waits for an approval."""
    principal = staff(request, READ)
    query = parse_query(ListQuery, request.query_params)
    pool = core_of(request).pool
    wanted = Wanted(query.status, query.referrer, query.referee)

    async def fetch(before: tuple[int, str] | None, limit: int) -> list[dict[str, Any]]:
        found = await store.listed(pool, principal.app, wanted, before, limit)
        made = await rewards_store.of_referrals(pool, [one.id for one in found])
        return [{**shown(one, made[one.id]), "_place": (one.bound_at, one.id)} for one in found]

    kind = file_asked(query.format, request.headers.get("accept", ""))
    if kind is not None:
        every = rendered(all_pages(fetch, None, lambda row: row["_place"]), _plain)
        return export_response(kind, tuple(ReferralAnswer.model_fields), every, "referrals")
    after = decode_cursor(query.cursor, {"bound_at": int, "id": str})
    rows = await fetch(None if after is None else (after["bound_at"], after["id"]), query.limit + 1)
    return json_response(page(rows, query.limit, _cursor, _plain))


_REVIEWED = ("404 referral_not_found", "409 referral_resolved")


@router.post(
    "/{id}/approve",
    summary="Let a flagged referral earn",
    **described(answer=ReferralAnswer, body=ReviewBody, path="/{id}", codes=(*_REVIEWED, "409 referral_not_flagged")),
)
async def approve_referral(request: Request) -> Response:
    """What was held back is paid when its hold has ended; at once if it has."""
    return await _review(request, approve)


@router.post(
    "/{id}/refuse",
    summary="Refuse a referral",
    **described(answer=ReferralAnswer, body=ReviewBody, path="/{id}", codes=_REVIEWED),
)
async def refuse_referral(request: Request) -> Response:
    """It earns nothing, on either level; before any of its rewards was sent to the ledger."""
    return await _review(request, refuse)


async def _review(request: Request, decide: Callable[[Core, Connection, Verdict], Awaitable[Referral]]) -> Response:
    principal = staff(request, ADJUST)
    core = core_of(request)
    body = parse_body(ReviewBody, await request.body())
    verdict = Verdict(principal.app, request.path_params["id"], body.reason, cause_of(request, principal))

    async def effect(connection: Connection) -> Result:
        referral = await decide(core, connection, verdict)
        made = await rewards_store.of_referral(connection, referral.id)
        return Result(200, orjson.dumps(shown(referral, made)))

    return result_response(await once(core.pool, wish_of(request, principal, body), effect))


def _digests(core: Core, app: str, body: SignalsOf) -> Digests:
    given: dict[SignalKind, str] = body.signals.model_dump(exclude_none=True)  # type: ignore[assignment]
    if body.client_ip is not None:
        given["network"] = body.client_ip
    try:
        return digests_of(core.pepper, app, given)
    except InvalidSignal as error:
        field = "client_ip" if error.kind == "network" else f"signals.{error.kind}"
        raise invalid(f"invalid_{field.rpartition('.')[2]}", field, error.detail) from None


class _Kept(BaseModel):
    user: str
    code: str
    signals: dict[str, str]


def _without_signals(body: BindBody, signals: Digests) -> _Kept:
    """What the request's fingerprint is made of: nothing that could be found out by trying."""
    return _Kept(user=body.user, code=body.code, signals={kind: digest.hex() for kind, digest in signals.items()})


def _chosen(text: str) -> str:
    try:
        return texts.chosen(text)
    except texts.TextError as error:
        raise invalid(error.code, "code", str(error)) from None


def _cursor(row: dict[str, Any]) -> dict[str, str | int]:
    bound_at, referral_id = row["_place"]
    return {"bound_at": bound_at, "id": referral_id}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_place"}
