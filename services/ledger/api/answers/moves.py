"""What moved credits: grants and revokes, charges and refunds, corrections, earnings, imports, transfers."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from services.ledger.api.answers.base import Answer, Credits, Time, Written
from services.ledger.api.answers.prices import Priced


class Grant(Written):
    """A grant that was made."""

    id: str
    amount: Credits
    source: str
    priority: int
    scope: list[str]
    effective_at: Time
    expires_at: Time | None


class Revocation(Written):
    """What a revoke took: now (`taken`), on release (`pending`), as a debt, or not at all (`absorbed`)."""

    id: str
    grant: str
    amount: Credits
    taken: Credits
    pending: Credits
    debt: Credits
    absorbed: Credits


class Charge(Written):
    """A charge that was made."""

    id: str
    amount: Credits
    service: str | None
    priced: Priced | None = None


class Refund(Written):
    """Credits of a charge given back; `refunded` is all that was ever given back of it."""

    id: str
    charge: str
    amount: Credits
    refunded: Credits


class Adjustment(Written):
    """A correction; `amount` has its sign."""

    id: str
    amount: Credits


class ImportedOperation(Written):
    """What another system booked before; `amount` has its sign and moved nothing."""

    id: str
    kind: str
    amount: Credits
    occurred_at: Time


class Earning(Grant):
    """What an action earned."""

    action: str


class Side(Written):
    """One account of a transfer after it."""

    user: str


class Transfer(Answer):
    """A transfer: `pending` until the credit's outcome is committed, then `completed` or `returned`."""

    id: str
    status: str
    amount: Credits
    asset: str
    from_user: str
    to_user: str
    refusal: str | None = None
    accounts: list[Side] = Field([])


class ChargeRecord(Answer):
    """A charge as it stands, with the parts that it was taken from."""

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
    parts: list[dict[str, Any]]
    priced: Priced | None = None
