"""Bodies, queries and answers of referrals."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from libs.events.contracts.ledger.fields import User
from libs.service.answers import Answer, Credits, Page, Time
from libs.service.bodies import CleanText
from libs.service.pagination import CURSOR_LENGTH_MAX, LIMIT_DEFAULT, LIMIT_MAX
from services.codes.domain.referrals.rewards import Review, RewardRole, RewardStatus, Status

SIGNAL_LENGTH_MAX = 256
Signal = CleanText


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


class SignalsOf(_Body):
    """A body with signals."""

    client_ip: Signal | None = Field(
        None, max_length=45, description="The user's address; kept as its network's digest."
    )
    signals: SignalsBody = SignalsBody()


class OwnCodeBody(SignalsOf):
    """The body of `PUT /v1/referrals/{user}`; signals are for services to give."""

    code: CleanText | None = Field(
        None, max_length=64, description="The text that the user chose, if the app lets them."
    )


class BindBody(SignalsOf):
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
