"""What the codes service tells. The app is in the envelope, and the user who redeems is its subject.

Money is in integer minor units of `currency` (ISO 4217), times are RFC 3339 in UTC with microseconds, credits decimal
strings. The text of a code is in no event: `code` is its id.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, StringConstraints

from libs.events.contracts.base import Event, contract
from libs.events.contracts.ledger.fields import Credits, Time

Minor = Annotated[int, Field(ge=0, le=10**15)]
"""An amount of money in minor units."""

Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
"""An ISO 4217 code."""

Short = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
"""A short name that programs compare: of a kind, a reason. Readers must pass over one they don't know."""


class RedemptionEvent(Event):
    """What every event of a redemption says: of which code, for which checkout if any, and what it promises.

    `amount` is the credits, `discount_minor` what it takes off the checkout.
    """

    redemption: str
    code: str
    kind: Short
    campaign: str | None = None
    batch: str | None = None
    checkout: str | None = None
    amount: Credits | None = None
    discount_minor: Minor | None = None
    currency: Currency | None = None


@contract("codes.redemption_reserved.v1")
class RedemptionReserved(RedemptionEvent):
    """A use was taken until `expires_at`; without it, until the ledger has told what became of the credits."""

    expires_at: Time | None = None


@contract("codes.redemption_confirmed.v1")
class RedemptionConfirmed(RedemptionEvent):
    """The use is spent: its credits are granted (`grant` is the ledger's), or its checkout is paid.

    `late`: the payment had begun in time, but settled after the use had been given back: the limit may be exceeded.
    """

    grant: str | None = None
    late: bool = False


@contract("codes.redemption_released.v1")
class RedemptionReleased(RedemptionEvent):
    """The use was given back: the ledger refused the credits, or the checkout ended unpaid (`reason`)."""

    reason: Short


@contract("codes.redemption_expired.v1")
class RedemptionExpired(RedemptionEvent):
    """The reservation ran out, and the use was given back."""


@contract("codes.redemption_rolled_back.v1")
class RedemptionRolledBack(RedemptionEvent):
    """A confirmed redemption was undone, and the use was given back: its checkout was refunded (`reason`)."""

    reason: Short


@contract("codes.redemption_refused.v1")
class RedemptionRefused(Event):
    """Somebody was refused. `code` is the code's id, where there is one.

    `reason` is the true one; `answered` is what the caller was told, which for a code that is hidden from them is that
    there is none.
    """

    reason: Short
    code: str | None = None
    checkout: str | None = None
    answered: Short | None = None
    refused_at: Time | None = None


class CodeEvent(Event):
    """What every event of a code says: its id."""

    code: str


@contract("codes.code_created.v1")
class CodeCreated(CodeEvent):
    """A code was made, by itself: of codes of a batch only the batch is told."""

    kind: Short
    campaign: str | None = None


@contract("codes.code_changed.v1")
class CodeChanged(CodeEvent):
    """These fields of a code have new values."""

    fields: list[Short]


@contract("codes.code_paused.v1")
class CodePaused(CodeEvent):
    """Nobody can redeem it until it is resumed."""


@contract("codes.code_resumed.v1")
class CodeResumed(CodeEvent):
    """It can be redeemed again."""


@contract("codes.code_voided.v1")
class CodeVoided(CodeEvent):
    """Nobody can redeem it any more."""


@contract("codes.batch_ready.v1")
class BatchReady(Event):
    """All codes of a batch are made, and can be exported."""

    batch: str
    count: int


@contract("codes.batch_voided.v1")
class BatchVoided(Event):
    """None of a batch's codes can be redeemed any more."""

    batch: str


@contract("codes.guessing_suspected.v1")
class GuessingSuspected(Event):
    """An app had `misses` wrong codes or more in the window of `window_s` seconds that began at `since`; told once for
    a window. Its subject is nobody's (`@app`).
    """

    misses: Annotated[int, Field(ge=1)]
    since: Time
    window_s: Annotated[int, Field(ge=1)]
