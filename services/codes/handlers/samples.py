"""Public codes that come with an app's file."""

from __future__ import annotations

from datetime import datetime

from libs.events.db import Connection
from libs.service.clock import from_datetime
from libs.service.configs import Applied, ConfigConflict
from services.codes.core import Core
from services.codes.domain.amounts import parse_amount
from services.codes.domain.codes import Audience, Code, Credits, Terms
from services.codes.domain.discounts import Discount
from services.codes.domain.specs import AudienceSpec, ConfigDocument, SampleSpec, TermsSpec
from services.codes.store import codes


def terms_of(spec: TermsSpec) -> Terms:
    """The terms that a specification describes."""
    promised = discount = None
    if spec.amount is not None:
        promised = Credits(parse_amount(spec.amount), spec.scope, spec.source, spec.expires_after_s)
    if spec.percent_off is not None or spec.amount_off_minor is not None:
        discount = Discount(
            spec.percent_off, spec.amount_off_minor, spec.currency, spec.min_minor, spec.max_off_minor, spec.service
        )
    return Terms(promised, discount)


def audience_of(spec: AudienceSpec) -> Audience:
    """The audience that a specification describes."""
    return Audience(spec.who, frozenset(spec.users), spec.days)


def sample_code(core: Core, app: str, text: str, spec: SampleSpec, actor: str) -> Code:
    """The code that a sample describes, new."""
    now_us = core.clocks.now_us(app)
    return Code(
        id=core.new_id("code", app),
        app=app,
        kind=spec.kind,
        terms=terms_of(spec),
        text=text,
        last4=text[-4:],
        name=spec.name,
        max_uses=spec.max_uses,
        per_user_limit=spec.per_user_limit,
        starts_at=_us(spec.starts_at),
        ends_at=_us(spec.ends_at),
        audience=audience_of(spec.audience),
        redeemed=spec.used,
        frozen_at=now_us if spec.used else None,
        created_at=now_us,
        created_by=actor,
    )


async def take_config(
    core: Core, connection: Connection, before: Applied[ConfigDocument], after: Applied[ConfigDocument], actor: str
) -> None:
    """Make the samples that a new configuration adds. One that is there stays as it was made.

    An app does not enter or leave test mode, because its times would no longer be comparable.
    """
    tested = before.document.test_mode is not None
    if before.version and tested != (after.document.test_mode is not None):
        raise ConfigConflict("An app cannot enter or leave test mode.")
    known = before.document.codes.samples
    for text, spec in after.document.codes.samples.items():
        if known.get(text) == spec:
            continue
        if text in known:
            raise ConfigConflict(f"The code '{text}' exists: change it with PATCH /v1/codes.")
        code = sample_code(core, after.app, text, spec, actor)
        if not await codes.insert(connection, code, core.digest(after.app, text)):
            raise ConfigConflict(f"There is a code '{text}' already.")


def _us(moment: datetime | None) -> int | None:
    return None if moment is None else from_datetime(moment)
