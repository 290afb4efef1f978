"""Changing codes that are there, under their locks; after the first use their terms stay as they are."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import orjson
from pydantic import ValidationError

from libs.events.contracts.base import Event
from libs.events.contracts.codes.events import CodeChanged, CodePaused, CodeResumed, CodeVoided
from libs.events.db import Connection
from libs.events.outbox import Cause
from libs.service.bodies import errors_from_pydantic
from libs.service.once import Result, Wish, once
from libs.service.problems import NotFound, Problem
from services.codes.core import ANYBODY, Core
from services.codes.domain.codes import Code, CodeStatus
from services.codes.domain.managing import changed_fields, frozen_fields
from services.codes.domain.specs import CodeSpec
from services.codes.handlers.making import code_of, spec_of
from services.codes.handlers.showing import code_view
from services.codes.store import codes

EVENTS = {"active": CodeResumed, "paused": CodePaused, "void": CodeVoided}
KEPT = (
    *("id", "app", "text", "last4", "batch_id", "campaign_id", "status", "reserved", "redeemed", "frozen_at"),
    *("version", "created_at", "created_by"),
)
"""What a change of the terms leaves as it is."""


class TermsFrozen(Problem):
    """The code has been used; what it promised then it promises to everybody."""

    status = 409
    code = "terms_frozen"
    title = "The code has been used: its terms stay as they are"
    next = "Change only name, ends_at, status, or max_uses upwards; or void the code and make another."


class CodeVoid(Problem):
    """Void is for good."""

    status = 409
    code = "code_void"
    title = "The code is void, and stays so"
    next = "Make another code."


async def change(
    core: Core, wish: Wish, code_id: str, cause: Cause, *, changes: dict[str, Any], status: CodeStatus | None
) -> Result:
    """Change these fields of a code, each to a new value, and its status; 200 with the code, which may be as before."""

    async def effect(connection: Connection) -> Result:
        code = (await codes.lock_codes(connection, [code_id])).get(code_id)
        if code is None or code.app != wish.app:
            raise NotFound("code")
        after, told = changed_code(code, changes, status)
        if told:
            after = replace(after, version=code.version + 1)
            await codes.update(connection, after)
            for event in told:
                await core.outbox.add(connection, event, app=wish.app, user=ANYBODY, cause=cause)
        return Result(200, orjson.dumps(code_view(after, await core.now_us(wish.app))))

    return await once(core.pool, wish, effect)


def changed_code(code: Code, changes: dict[str, Any], status: CodeStatus | None) -> tuple[Code, list[Event]]:
    """The code with these changes, and what is told of them. Raises the problem that stands against them."""
    if code.status == "void" and (changes or status not in (None, "void")):
        raise CodeVoid
    after, told = code, list[Event]()
    if changes:
        after, fields = _with_terms(code, changes)
        if fields:
            told.append(CodeChanged(code=code.id, fields=fields))
    if status is not None and status != code.status:
        after = replace(after, status=status)
        told.append(EVENTS[status](code=code.id))
    return after, told


def _with_terms(code: Code, changes: dict[str, Any]) -> tuple[Code, list[str]]:
    before = CodeSpec.model_validate(spec_of(code))
    try:
        after = CodeSpec.model_validate({**spec_of(code), **changes})
    except ValidationError as error:
        raise errors_from_pydantic(error) from None
    known, wanted = before.model_dump(), after.model_dump()
    if code.frozen_at is not None:
        frozen = frozen_fields(known, wanted)
        if frozen:
            raise TermsFrozen(f"The code has been used: {', '.join(frozen)} cannot change.", extra={"fields": frozen})
    made = code_of(after, **{name: getattr(code, name) for name in KEPT})
    balance = code.balance if code.frozen_at is not None else made.balance
    return replace(made, balance=balance), changed_fields(known, wanted)
