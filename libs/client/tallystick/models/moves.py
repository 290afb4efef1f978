"""What moved credits: grants and revokes, charges and refunds, corrections, earnings, transfers."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from .base import Answer, Balances, Written


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant(Written):
    """Credits given; what remains of them is the lot of the same id."""

    id: str
    amount: Decimal
    source: str | None = None
    effective_at: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Revocation(Written):
    """A grant taken back: `taken` now, `pending` once holds let go, `debt` is owed now, `absorbed` is let go.

    `id` names the revoke.
    """

    id: str
    amount: Decimal | None = None
    taken: Decimal | None = None
    pending: Decimal | None = None
    debt: Decimal | None = None
    absorbed: Decimal | None = None
    grant: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge(Written):
    """Credits spent."""

    id: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class ChargeRecord(Answer):
    """A charge as it stands now, with what was refunded of it."""

    id: str
    amount: Decimal
    user: str | None = None
    asset: str | None = None
    refunded: Decimal | None = None
    hold: str | None = None
    time: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Refund(Written):
    """Credits given back to where a charge took them from; `refunded` is all that was ever given back of it."""

    id: str
    amount: Decimal
    charge: str | None = None
    refunded: Decimal | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Transfer(Answer):
    """Credits moved between two accounts of an app, `accounts` being both afterwards.

    `status` is `pending` while the credit's outcome is not committed (`client.wait(transfer.id)`), then `completed`,
    or `returned` when the other side refused it, `refusal` being why.
    """

    id: str
    status: str = "completed"
    amount: Decimal | None = None
    from_user: str | None = None
    to_user: str | None = None
    refusal: str | None = None
    accounts: tuple[Balances, ...] = ()
    replayed: bool = False
    idempotency_key: str | None = None

    @property
    def pending(self) -> bool:
        """Whether it is still on its way, forth or back."""
        return self.status not in {"completed", "returned"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Adjustment(Written):
    """A correction by hand; `amount` has its sign."""

    id: str
    amount: Decimal


@dataclass(frozen=True, slots=True, kw_only=True)
class Earning(Written):
    """What an action earned: a grant."""

    id: str
    amount: Decimal
    action: str | None = None
