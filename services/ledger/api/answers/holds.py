"""Holds: what was done to one, and how it stands."""

from __future__ import annotations

from services.ledger.api.answers.base import Answer, Credits, Page, Time, Written
from services.ledger.api.answers.prices import Priced


class Hold(Written):
    """An open hold."""

    id: str
    status: str
    amount: Credits
    captured: Credits
    expires_at: Time
    service: str | None = None
    grant: str | None = None
    added: Credits | None = None
    priced: Priced | None = None


class Capture(Written):
    """A capture: `charge` is the charge it made, `shortfall` what no credit covered and is owed."""

    id: str
    status: str
    charge: str
    amount: Credits
    captured: Credits
    shortfall: Credits
    priced: Priced | None = None


class Release(Written):
    """A hold that was let go."""

    id: str
    status: str
    released: Credits
    captured: Credits


class HoldRecord(Answer):
    """A hold as it stands."""

    id: str
    user: str
    asset: str
    status: str
    amount: Credits
    captured: Credits
    remaining: Credits
    service: str | None
    grant: str | None
    reference: str | None
    member: str | None
    created_at: Time
    expires_at: Time
    limit_at: Time
    resolved_at: Time | None


class Holds(Page):
    """Holds in order of their ids."""

    data: list[HoldRecord]
