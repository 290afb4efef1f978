"""Holds: what was done to one, and how it stands."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .base import Answer, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold(Written):
    """Credits set aside, and after an extension or a release the same hold again, with what was `released`."""

    id: str
    captured: Decimal
    amount: Decimal | None = None
    released: Decimal | None = None
    status: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture(Hold):
    """A hold after a capture: `amount` was captured now, `captured` in all.

    `charge` is the charge that it made, refundable as such; `shortfall` is the part that no credit covered.
    """

    charge: str
    shortfall: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HoldRecord(Answer):
    """A hold as it stands now."""

    id: str
    amount: Decimal
    user: str | None = None
    asset: str | None = None
    captured: Decimal | None = None
    status: str | None = None
    created_at: datetime | None = None
    expires_at: datetime | None = None
