"""Who came by whom: codes of users' own, binding, what it earned, and what waits for somebody's approval."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Literal
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response

from libs.events.contracts.ledger.fields import User
from libs.events.db import Connection
from libs.service.answers import Answer, Credits, Page, Time
from libs.service.bodies import CleanText, parse_body, parse_query
from libs.service.clock import format_time
from libs.service.contract import described
from libs.service.exports import MEDIA_TYPES, all_pages, export_response, file_asked, rendered
from libs.service.i18n.negotiation import language_of
from libs.service.once import Result, once, result_response, wish_of
from libs.service.pagination import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX, decode_cursor, page
from libs.service.problems import ScopeMissing, invalid
from libs.service.routes import json_response, permitted, staff, user_in_path
from services.codes.api.support import ADJUST, GRANT, READ, SPEND, cause_of, core_of
from services.codes.core import Core
from services.codes.domain import texts
from services.codes.domain.referrals.rewards import Review, RewardRole, RewardStatus, Status, month_of, text_of
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
from services.codes.store.rewards import Reward

router = APIRouter(prefix="/v1/referrals", tags=["referrals"])

SIGNAL_LENGTH_MAX = 256
Signal = CleanText
_DISABLED = "403 feature_disabled"


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class SignalsBody(_Body):
    """What is known of the person: kept as digests only. `card` and `device` are fingerprints of the caller's making,
    the same for the same card and device."""

    phone: Signal | None = Field(None, max_length=SIGNAL_LENGTH_MAX, description="International, + and digits.")
    email: Signal | None = Field(None, max_length=SIGNAL_LENGTH_MAX)
    card: Signal | None = Field(None, max_length=SIGNAL_LENGTH_MAX)
    device: Signal | None = Field(None, max_length=SIGNAL_LENGTH_MAX)
    name: Signal | None = Field(None, max_length=SIGNAL_LENGTH_MAX)


class _SignalsOf(_Body):
    client_ip: Signal | None = Field(
        None, max_length=45, description="The user's address; kept as its network's digest."
    )
    signals: SignalsBody = SignalsBody()


class OwnCodeBody(_SignalsOf):
    """The body of `PUT /v1/referrals/{user}`; signals are for services to give."""

    code: CleanText | None = Field(
        None, max_length=64, description="The text that the user chose, if the app lets them."
    )


class BindBody(_SignalsOf):
    """The body of `POST /v1/referrals`."""

    user: User
    code: CleanText = Field(min_length=1, max_length=128, description="The referrer's code, as somebody typed it.")


class ReviewBody(_Body):
    """Why it is approved or refused, for who reads the history."""

    reason: CleanText = Field(min_length=1, max_length=500)


class RewardAnswer(Answer):
    """What somebody gets. `waiting` for an approval, `pending` until the hold ends at `due_at`, `sent` to the ledger;
    `refusal` says why not."""

    id: str
    role: RewardRole
    user: str
    status: RewardStatus
    amount: Credits | None
    due_at: Time
    refusal: str | None
    grant: str | None


class ReferralAnswer(Answer):
    """Who came by whom. `review` is `waiting` while it is flagged; `refusal` says why it earns nothing."""

    id: str
    referee: str
    referrer: str
    code: str
    status: Status
    review: Review
    flags: list[str]
    refusal: str | None
    bound_at: Time
    bound_by: str
    order: str | None
    paid_at: Time | None
    due_at: Time | None
    reviewed_at: Time | None
    reviewed_by: str | None
    review_reason: str | None
    ended_at: Time | None
    rewards: list[RewardAnswer]


class Referrals(Page):
    """Referrals, the newest first."""

    data: list[ReferralAnswer]


class Came(Answer):
    """How many came by the user: `bound` have not paid, `on_hold` have, `flagged` wait for an approval."""

    bound: int
    on_hold: int
    flagged: int
    settled: int
    refused: int


class Earned(Answer):
    """Rewards of one kind: how many, and credits where their amounts are known."""

    count: int
    credits: Credits


class Month(Answer):
    """What the user earned by bringing others in this calendar month, and what the app's limit leaves."""

    month: str
    earned: Credits
    left: Credits


class OwnAnswer(Answer):
    """A user's own code and what came of it. `code` is null until it was made."""

    user: str
    code: str | None
    link: str | None
    came: Came
    pending: Earned
    paid: Earned
    refused: Earned
    this_month: Month


class ListQuery(BaseModel):
    """The query of `GET /v1/referrals`."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["bound", "on_hold", "settled", "refused", "flagged"] | None = Field(
        None, description="`flagged`: what waits for somebody's approval, whatever its status."
    )
    referrer: User | None = None
    referee: User | None = None
    limit: int = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX)
    cursor: str | None = Field(None, max_length=CURSOR_LENGTH_MAX)
    format: Literal["json", "csv", "jsonl"] | None = Field(None, description="The whole list as a file.")


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
    return json_response(await _own(core, principal.app, user))


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
    return json_response(await _own(core, principal.app, user))


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


def _digests(core: Core, app: str, body: _SignalsOf) -> Digests:
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


async def _own(core: Core, app: str, user: str) -> dict[str, Any]:
    """What :class:`OwnAnswer` describes."""
    terms = programme_of(core, app)
    text = await store.own_code(core.pool, app, user)
    totals = await rewards_store.totals_of(core.pool, app, user)
    came = await store.counts_of(core.pool, app, user)
    month = month_of(await core.now_us(app), ZoneInfo(core.configs.get(app).document.zone))
    earned = await rewards_store.earned_in(core.pool, app, user, month)

    def sums(*statuses: RewardStatus) -> dict[str, Any]:
        found = [totals[status] for status in statuses if status in totals]
        return {
            "count": sum(count for count, _ in found),
            "credits": text_of(sum((c for _, c in found), start=0 * earned)),
        }

    return {
        "user": user,
        "code": text,
        "link": None if text is None else terms.link_of(text),
        "came": {name: came.get(name, 0) for name in Came.model_fields},
        "pending": sums("waiting", "pending", "sent"),
        "paid": sums("paid"),
        "refused": sums("refused", "revoking", "revoked"),
        "this_month": {
            "month": month,
            "earned": text_of(earned),
            "left": text_of(max(0 * earned, terms.limit - earned)),
        },
    }


def shown(referral: Referral, made: list[Reward]) -> dict[str, Any]:
    """What :class:`ReferralAnswer` describes."""
    return {
        "id": referral.id,
        "referee": referral.referee,
        "referrer": referral.referrer,
        "code": referral.code_id,
        "status": referral.status,
        "review": referral.review,
        "flags": list(referral.flags),
        "refusal": referral.refusal,
        "bound_at": format_time(referral.bound_at),
        "bound_by": referral.bound_by,
        "order": referral.order_id,
        "paid_at": _time(referral.paid_at),
        "due_at": _time(referral.due_at),
        "reviewed_at": _time(referral.reviewed_at),
        "reviewed_by": referral.reviewed_by,
        "review_reason": referral.review_reason,
        "ended_at": _time(referral.ended_at),
        "rewards": [
            {
                "id": reward.id,
                "role": reward.role,
                "user": reward.user_id,
                "status": reward.status,
                "amount": None if reward.amount is None else text_of(reward.amount),
                "due_at": format_time(reward.due_at),
                "refusal": reward.refusal,
                "grant": reward.grant_id,
            }
            for reward in made
        ],
    }


def _cursor(row: dict[str, Any]) -> dict[str, str | int]:
    bound_at, referral_id = row["_place"]
    return {"bound_at": bound_at, "id": referral_id}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "_place"}


def _time(time_us: int | None) -> str | None:
    return None if time_us is None else format_time(time_us)
