"""Binding somebody to who brought them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from libs.events.contracts.codes.referrals import ReferralBound, ReferralFlagged
from libs.events.db import Connection
from libs.events.outbox import Cause
from services.codes.core import Core
from services.codes.domain.referrals.binding import DAY_US, LEVELS_MAX, Binding, flags_of, must_wait, refusal_of
from services.codes.domain.referrals.signals import Digests
from services.codes.handlers.referrals.owning import programme_of
from services.codes.handlers.referrals.problems import REFUSALS
from services.codes.store import codes, referrals
from services.codes.store.referrals import Referral


@dataclass(frozen=True, slots=True)
class Coming:
    """Somebody came by a code; `signals` are what was seen of them, `actor` is who says so."""

    app: str
    user: str
    code_text: str
    signals: Digests
    actor: str
    cause: Cause


async def bind(core: Core, connection: Connection, coming: Coming) -> Referral | None:
    """The new referral; None if nobody has such a code of their own. Raises the problem of a refusal."""
    app, user = coming.app, coming.user
    terms = programme_of(core, app)
    code = await codes.by_digest(connection, app, core.digest(app, coming.code_text))
    referrer = None if code is None or code.status != "active" else await referrals.owner_of(connection, app, code.id)
    if code is None or referrer is None:
        return None
    await referrals.lock_app(connection, app)
    now_us = await core.now_us(app)
    ancestors = await referrals.upward(connection, app, referrer)
    opened_at, first_paid_at = await codes.customer_of(connection, app, user)
    binding = Binding(
        referee=user,
        ancestors=ancestors,
        at_us=now_us,
        signals=coming.signals,
        earners=await referrals.seen_of(connection, app, ancestors[:LEVELS_MAX]),
        circle=await referrals.seen_among(connection, app, referrer, coming.signals),
        is_bound=await referrals.of_referee(connection, app, user) is not None,
        has_paid=first_paid_at is not None,
        opened_at_us=opened_at,
        referrals_today=await referrals.count_since(connection, app, referrer, now_us - DAY_US),
    )
    refusal = refusal_of(binding)
    if refusal is not None:
        raise REFUSALS[refusal]
    flags = flags_of(binding, terms.flags)
    waits = must_wait(flags, terms.flags)
    row: dict[str, Any] = {
        "id": core.new_id("referral", app, user),
        "app": app,
        "referee": user,
        "referrer": referrer,
        "code_id": code.id,
        "review": "waiting" if waits else "none",
        "flags": flags,
        "bound_at": now_us,
        "bound_by": coming.actor,
    }
    await referrals.insert(connection, row)
    if coming.signals:
        await referrals.see(connection, app, user, coming.signals, now_us)
    said = {"referral": row["id"], "referrer": referrer, "flags": tuple(flags)}
    await core.outbox.add(connection, ReferralBound(**said, code=code.id), app=app, user=user, cause=coming.cause)
    if waits:
        await core.outbox.add(connection, ReferralFlagged(**said), app=app, user=user, cause=coming.cause)
    return await referrals.of_referee(connection, app, user)
