"""Codes of users' own, by which others come."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from libs.events.db import Connection
from libs.service.problems import FeatureDisabled
from services.codes.core import Core
from services.codes.domain import texts
from services.codes.domain.codes import Code, Terms
from services.codes.domain.referrals.signals import Digests
from services.codes.domain.referrals.terms import ReferralTerms
from services.codes.handlers.referrals.problems import CodeTaken, OwnTextDisabled, TooManyCodes
from services.codes.store import codes, referrals

CODES_MAX = 5
"""Codes that one user may have had; each of them goes on binding."""
GENERATED = texts.Pattern.of(length=texts.RANDOM_MIN)


def programme_of(core: Core, app: str) -> ReferralTerms:
    """The app's programme; :class:`FeatureDisabled` where there is none, or it is switched off."""
    document = core.configs.get(app).document
    if document.referrals is None or not document.switches.referrals:
        raise FeatureDisabled("referrals")
    return document.referrals


@dataclass(frozen=True, slots=True)
class OwnCode:
    """A user wants a code of their own, of this `text` if they chose one; `signals` are what was seen of them."""

    app: str
    user: str
    actor: str
    text: str | None
    signals: Digests


async def make_own(core: Core, connection: Connection, wish: OwnCode) -> str:
    """The text of the user's own code: the one they have, a generated one, or from now on the one they chose.

    Signals are remembered, so that whom they bring can be compared with them.
    """
    app, user, text = wish.app, wish.user, wish.text
    terms = programme_of(core, app)
    if text is not None and not terms.own_text:
        raise OwnTextDisabled
    now_us = await core.now_us(app)
    if wish.signals:
        await referrals.see(connection, app, user, wish.signals, now_us)
    present = await referrals.own_code(connection, app, user)
    if present is not None and text in (None, present):
        return present
    # One at a time, so that two requests at once make one code.
    await referrals.lock_app(connection, app)
    present = await referrals.own_code(connection, app, user)
    if present is not None and text in (None, present):
        return present
    if await referrals.count_codes(connection, app, user) >= CODES_MAX:
        raise TooManyCodes(f"A user has at most {CODES_MAX} codes, earlier ones included.")
    if text is not None and texts.is_well_formed(text):
        # What looks made is refused whether or not it exists: else whoever chooses texts finds codes that are hidden.
        raise CodeTaken
    made = text or texts.normalise(GENERATED.text_of(secrets.token_bytes(32)))
    code = Code(
        id=core.new_id("code", app, user),
        app=app,
        kind="referral",
        terms=Terms(),
        text=made,
        last4=made[-4:],
        per_user_limit=None,
        created_at=now_us,
        created_by=wish.actor,
    )
    if not await codes.insert(connection, code, core.digest(app, made)):
        raise CodeTaken
    await referrals.add_own_code(connection, app, user, code.id, chosen=text is not None, made_at=now_us)
    return made
