"""Making codes: from what was asked, with a text that was chosen or is made."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

import orjson

from libs.events.contracts.codes.events import CodeCreated
from libs.events.db import Connection
from libs.events.outbox import Cause
from libs.service.clock import from_datetime, to_datetime
from libs.service.once import Result, Wish, once
from libs.service.problems import NotFound, Problem
from services.codes.core import ANYBODY, Core
from services.codes.domain import texts
from services.codes.domain.amounts import format_amount, parse_amount
from services.codes.domain.asked import NewCode
from services.codes.domain.codes import Audience, Code, Credits, Terms
from services.codes.domain.discounts import Discount
from services.codes.domain.specs import AudienceSpec, CodeSpec, TermsSpec
from services.codes.handlers.showing import code_view
from services.codes.store import codes

SEED_BYTES = 32
LAST = 4
TRIES = 20
"""How often another text is made where the app has one already: among 31^8 the second try is hardly ever needed."""
_RECIPE = "_made_from"


class CodeTaken(Problem):
    """The app has a code of this text."""

    status = 409
    code = "code_taken"
    title = "There is a code of this text already"
    next = "Choose another text, or change the code that is there with PATCH /v1/codes/{id}. A voided text stays taken."


def terms_of(spec: TermsSpec) -> Terms:
    """The terms that a specification describes."""
    lot = discount = None
    if spec.amount is not None:
        lot = Credits(parse_amount(spec.amount), spec.scope, spec.source, spec.expires_after_s)
    if spec.percent_off is not None or spec.amount_off is not None:
        discount = Discount(
            spec.percent_off, spec.amount_off, spec.currency, spec.min_minor, spec.max_off_minor, spec.service
        )
    return Terms(lot, discount)


def audience_of(spec: AudienceSpec) -> Audience:
    """The audience that a specification describes."""
    return Audience(spec.who, frozenset(spec.users), spec.days)


def code_of(spec: CodeSpec, **fields: Any) -> Code:
    """The code that a specification describes; `fields` are what it doesn't say, such as its id."""
    terms = terms_of(spec)
    return Code(
        kind=spec.kind,
        terms=terms,
        name=spec.name,
        max_uses=spec.max_uses,
        per_user_limit=spec.per_user_limit,
        starts_at=_us(spec.starts_at),
        ends_at=_us(spec.ends_at),
        audience=audience_of(spec.audience),
        balance=terms.credits.amount if spec.kind == "gift" and terms.credits is not None else None,
        **fields,
    )


def spec_of(code: Code) -> dict[str, Any]:
    """What a code is, as it could be asked for: the fields of :class:`CodeSpec`, but its campaign."""
    lot, discount = code.terms.credits, code.terms.discount or Discount()
    return {
        "kind": code.kind,
        "name": code.name,
        "amount": None if lot is None else format_amount(lot.amount),
        "scope": () if lot is None else lot.scope,
        "source": None if lot is None else lot.source,
        "expires_after_s": None if lot is None else lot.expires_after_s,
        "percent_off": discount.percent_off,
        "amount_off": discount.amount_off_minor,
        "currency": discount.currency,
        "min_minor": discount.min_minor,
        "max_off_minor": discount.max_off_minor,
        "service": discount.service,
        "max_uses": code.max_uses,
        "per_user_limit": code.per_user_limit,
        "starts_at": None if code.starts_at is None else to_datetime(code.starts_at),
        "ends_at": None if code.ends_at is None else to_datetime(code.ends_at),
        "audience": {"who": code.audience.who, "users": sorted(code.audience.users), "days": code.audience.days},
    }


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else from_datetime(moment)


async def create(core: Core, wish: Wish, asked: NewCode, cause: Cause) -> Result:
    """Make a code once under the wish's key: 201 with the code, and its text whole.

    The text of a made code is shown by this answer alone (and by its repeats); what is stored of the answer has only
    a seed, from which the text is made again with the pepper.
    """

    async def effect(connection: Connection) -> Result:
        campaign_id = await campaign_of(connection, wish.app, asked.campaign)
        now_us = await core.now_us(wish.app)
        fields = {
            "id": core.new_id("code", wish.app),
            "app": wish.app,
            "campaign_id": campaign_id,
            "status": asked.status,
            "created_at": now_us,
            "created_by": wish.caller,
        }
        if asked.code is not None:
            code = code_of(asked, text=asked.code, last4=asked.code[-LAST:], **fields)
            if not await codes.insert(connection, code, core.digest(wish.app, asked.code)):
                raise CodeTaken
            recipe: dict[str, Any] | None = None
        else:
            code, recipe = await _insert_made(core, connection, asked, fields)
        told = CodeCreated(code=code.id, kind=code.kind, campaign=campaign_id)
        await core.outbox.add(connection, told, app=wish.app, user=ANYBODY, cause=cause)
        return Result(201, orjson.dumps({**code_view(code, now_us), _RECIPE: recipe}))

    return _with_text(core, await once(core.pool, wish, effect))


async def campaign_of(connection: Connection, app: str, campaign: str | None) -> str | None:
    """The id of the campaign that was named by its id; 404 for none."""
    if campaign is not None and not await codes.has_campaign(connection, app, campaign):
        raise NotFound("campaign")
    return campaign


async def _insert_made(
    core: Core, connection: Connection, asked: NewCode, fields: dict[str, Any]
) -> tuple[Code, dict[str, Any]]:
    pattern = asked.made_as
    for _ in range(TRIES):
        seed = secrets.token_bytes(SEED_BYTES)
        text = _made(core.pepper, seed, pattern)
        code = code_of(asked.for_one_use(), last4=text[-LAST:], **fields)
        if await codes.insert(connection, code, core.digest(code.app, text)):
            return code, {"seed": seed.hex(), "pattern": pattern.template}
    raise RuntimeError("every text that was made is taken: is the random source broken?")


def _made(pepper: bytes, seed: bytes, pattern: texts.Pattern) -> str:
    return pattern.text_of(texts.random_of(texts.secret_of(pepper, seed), 0))


def _with_text(core: Core, result: Result) -> Result:
    """The answer as its caller sees it."""
    body = orjson.loads(result.body)
    recipe = body.pop(_RECIPE, None)
    if recipe is not None:
        body["code"] = _made(core.pepper, bytes.fromhex(recipe["seed"]), texts.Pattern(recipe["pattern"]))
    return Result(result.status, orjson.dumps(body), result.replayed)
