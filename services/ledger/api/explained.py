"""What explanations answer, for the OpenAPI document. Everything has a `why`, which stays, and a plain `sentence`."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from services.ledger.api.answers import Answer, Credits, Lot, Page, Priced, Time


class Because(Answer):
    """Why something is so."""

    why: str
    sentence: str


class Term(Because):
    """A part of a balance; the parts add up to it."""

    amount: Credits


class Made(Because):
    """What made something, who, and when; the event is null where it lies too far back."""

    event: str | None
    actor: str | None
    time: Time | None
    reference: str | None
    reason: str | None
    member: str | None


class UseOfLot(Answer):
    """What one kind of event took from a lot altogether, less what it gave back."""

    why: str
    amount: Credits
    count: int
    time: Time | None


class ExplainedLot(Lot):
    """A lot: what made it, and what took from it. `amount` less the `uses` is what remains."""

    made: Made
    uses: list[UseOfLot]


class Pinned(Answer):
    """A part of a lot that a hold has set aside."""

    grant: str
    amount: Credits


class ExplainedHold(Answer):
    """An open hold: what made it, and what it pins."""

    id: str
    amount: Credits
    captured: Credits
    remaining: Credits
    service: str | None
    expires_at: Time
    made: Made
    lots: list[Pinned]


class ExplainedDebt(Because):
    """What became owed at once, and how much of it still is."""

    cause: str | None
    amount: Credits
    open: Credits
    time: Time


class TotalOfKind(Answer):
    """What one kind of event did to the balances; all kinds together made them what they are."""

    why: str
    count: int
    settled: Credits
    held: Credits
    owed: Credits


class Movement(Because):
    """One event: what it did to the balances, and to which lots."""

    event: str
    type: str
    time: Time
    object: str | None
    actor: str
    settled: Credits
    held: Credits
    owed: Credits
    settled_after: Credits
    lots: list[dict[str, Any]]
    reference: str | None
    reason: str | None
    member: str | None
    transaction: str
    account_version: int
    position: int


class AccountExplanation(Page):
    """Why an account is as it is. `data` are its events, the newest first."""

    user: str
    asset: str
    settled: Credits
    held: Credits
    owed: Credits
    available: Credits
    service: str | None
    settled_is: list[Term]
    held_is: list[Term]
    owed_is: list[Term]
    available_is: list[Term]
    lots: list[ExplainedLot]
    holds: list[ExplainedHold]
    debts: list[ExplainedDebt]
    totals: list[TotalOfKind]
    due: list[Because]
    told_since: int
    account_version: int
    position: int
    partition: int
    time: Time
    data: list[Movement]


class ExplainedPart(Because):
    """Where a part of a charge came from, and why it was its turn; of a lot, what it was."""

    kind: str
    amount: Credits
    grant: str | None = None
    source: str | None = None
    priority: int | None = None
    scope: list[str] = Field(default_factory=list)
    granted_at: Time | None = None
    expires_at: Time | None = None


class PriceStep(Because):
    """One step from what was used to what was taken: what it comes to so far."""

    amount: str


class Pricing(Priced):
    """What was used and at which prices; null where the caller named the amount."""

    steps: list[PriceStep]


class BalancesOf(Answer):
    """The balances at a moment."""

    settled: Credits
    held: Credits
    owed: Credits


class ExplainedRefund(Because):
    """What was given back of a charge, and where it went."""

    id: str
    amount: Credits
    made: Made
    lots: list[dict[str, Any]]


class ChargeExplanation(Because):
    """Why a charge cost what it did, and what it was taken from."""

    id: str
    user: str
    asset: str
    amount: Credits
    refunded: Credits
    service: str | None
    hold: str | None
    reference: str | None
    member: str | None
    time: Time
    priced: Priced | None
    made: Made
    command: str
    transaction: str
    config_version: int
    pricing: Pricing | None
    parts: list[ExplainedPart]
    budgets: list[dict[str, Any]]
    refunds: list[ExplainedRefund]
    before: BalancesOf
    after: BalancesOf
    account_version: int
    position: int
    partition: int
