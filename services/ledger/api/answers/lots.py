"""Lots, and what they are made of."""

from __future__ import annotations

from services.ledger.api.answers.base import Answer, Credits, Page, Time


class Cost(Answer):
    """What credits cost their owner: minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


class LotOrigin(Answer):
    """What a lot was made of: another lot or a transfer, by its id."""

    kind: str
    id: str


class Lot(Answer):
    """What remains of a grant."""

    id: str
    status: str
    amount: Credits
    remaining: Credits
    held: Credits
    spent: Credits
    revoked: Credits
    breakage: Credits
    source: str
    priority: int
    scope: list[str]
    granted_at: Time
    effective_at: Time
    expires_at: Time | None
    cost_basis: Cost | None
    origin: LotOrigin | None


class Lots(Page):
    """Lots in order of their ids."""

    data: list[Lot]
