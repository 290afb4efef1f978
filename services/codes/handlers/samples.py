"""Public codes that come with an app's file: made when it is applied, changed with it as far as their uses allow."""

from __future__ import annotations

from dataclasses import replace

from libs.events.contracts.codes.events import CodeCreated
from libs.events.db import Connection
from libs.events.outbox import Cause
from libs.service.configs import Applied, ConfigConflict
from libs.service.problems import Problem
from services.codes.core import ANYBODY, Core
from services.codes.domain.codes import Code
from services.codes.domain.specs import CodeSpec, ConfigDocument, SampleSpec
from services.codes.handlers.changing import changed_code
from services.codes.handlers.making import LAST, code_of
from services.codes.store import codes


async def take_config(
    core: Core, connection: Connection, before: Applied[ConfigDocument], after: Applied[ConfigDocument], actor: str
) -> None:
    """Make the samples that a new configuration adds, and change those that differ in it.

    What cannot follow is refused by :class:`ConfigConflict`: other terms for a code in use, or for one that was not
    made as a sample. A sample that is left out of the file stays as it is: codes are voided by name. An app does not
    enter or leave test mode, because its times would no longer be comparable.
    """
    tested = before.document.test_mode is not None
    if before.version and tested != (after.document.test_mode is not None):
        raise ConfigConflict("An app cannot enter or leave test mode.")
    known = before.document.codes.samples
    cause = Cause(actor=actor)
    for text, spec in sorted(after.document.codes.samples.items()):
        if known.get(text) == spec:
            continue
        found = await codes.by_digest(connection, after.app, core.digest(after.app, text))
        if found is None:
            await _make(core, connection, after.app, text, spec=spec, cause=cause)
            continue
        code = (await codes.lock_codes(connection, [found.id]))[found.id]
        earlier = known.get(text)
        if earlier is not None and earlier.used != spec.used:
            raise ConfigConflict(f"codes.samples.{text}: `used` counts when the code is made, and it is there already.")
        await _follow(core, connection, code, spec, cause=cause, ours=earlier is not None)


async def _make(core: Core, connection: Connection, app: str, text: str, *, spec: SampleSpec, cause: Cause) -> None:
    now_us = core.clocks.now_us(app)
    code = code_of(
        spec,
        id=core.new_id("code", app),
        app=app,
        text=text,
        last4=text[-LAST:],
        redeemed=spec.used,
        frozen_at=now_us if spec.used else None,
        created_at=now_us,
        created_by=cause.actor,
    )
    if not await codes.insert(connection, code, core.digest(app, text)):
        raise ConfigConflict(f"codes.samples.{text}: somebody made a code of this text just now.")
    await core.outbox.add(connection, CodeCreated(code=code.id, kind=code.kind), app=app, user=ANYBODY, cause=cause)


async def _follow(
    core: Core, connection: Connection, code: Code, spec: SampleSpec, *, cause: Cause, ours: bool
) -> None:
    wanted = {name: value for name, value in spec.model_dump().items() if name in CodeSpec.model_fields}
    try:
        after, told = changed_code(code, wanted, None)
    except Problem as problem:
        raise ConfigConflict(f"codes.samples.{code.text}: {problem.detail}") from None
    if not told:
        return
    if not ours:
        raise ConfigConflict(f"codes.samples.{code.text}: there is another code of this text already.")
    await codes.update(connection, replace(after, version=code.version + 1))
    for event in told:
        await core.outbox.add(connection, event, app=code.app, user=ANYBODY, cause=cause)
