"""Grants, charges, transfers, adjustments and actions."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Unpack

from .._request import Common, Labels, Request, Spend, cost_fields, one, read, write
from ..models import Adjustment, Charge, ChargeRecord, Earning, Explanation, Grant, Refund, Revocation, Transfer
from ..values import Amount, amount_text, optional_amount, path, time_text

RevokePolicy = Literal["debt", "absorb", "block"]


@dataclass(frozen=True, slots=True)
class CostBasis:
    """What was paid for a grant: integer minor units of an ISO 4217 currency."""

    amount_minor: int
    currency: str


def grant(
    user: str,
    amount: Amount,
    *,
    source: str | None = None,
    priority: int | None = None,
    effective_at: datetime | None = None,
    expires_at: datetime | None = None,
    scope: Sequence[str] | None = None,
    cost_basis: CostBasis | None = None,
    **common: Unpack[Common],
) -> Request[Grant]:
    """Give credits.

    `source` is `paid`, `promo`, `earned` …; `scope` names the services they may be spent on (all when left out).
    """
    fields = {
        "user": user,
        "amount": amount_text(amount),
        "source": source,
        "priority": priority,
        "effective_at": time_text(effective_at) if effective_at else None,
        "expires_at": time_text(expires_at) if expires_at else None,
        "scope": list(scope) if scope is not None else None,
        "cost_basis": {"amount_minor": cost_basis.amount_minor, "currency": cost_basis.currency}
        if cost_basis
        else None,
    }
    return write(path("grants"), Grant, fields, common)


def revoke(
    grant_id: str,
    policy: RevokePolicy | None = None,
    *,
    amount: Amount | None = None,
    hold: str | None = None,
    **common: Unpack[Common],
) -> Request[Revocation]:
    """Take a grant back, or `amount` of it.

    What was spent already follows `policy` (default: the app's); `hold` is a hold to consume with it.

    Raises GrantSpent under the policy `block`.
    """
    fields = {"amount": optional_amount(amount), "policy": policy, "hold": hold}
    return write(path("grants", grant_id, "revoke"), Revocation, fields, common)


def charge(
    user: str, amount: Amount | None = None, *, service: str | None = None, **common: Unpack[Spend]
) -> Request[Charge]:
    """Spend credits: an `amount`, a `price` and `quantity`, a `model` and `usage`, or what a `quote` says.

    Raises InsufficientCredits, AccountOwes, AccountFrozen or BudgetExceeded, and then changed nothing.
    """
    return write(path("charges"), Charge, {"user": user, "service": service}, cost_fields(amount, common))


def get_charge(charge_id: str) -> Request[ChargeRecord]:
    """A charge as it stands now."""
    return read(path("charges", charge_id), one(ChargeRecord))


def explain_charge(charge_id: str) -> Request[Explanation]:
    """Why a charge cost what it did: price version, units, tiers, rounding and lots."""
    return read(path("charges", charge_id, "explain"), one(Explanation))


def refund(charge_id: str, *, amount: Amount | None = None, **common: Unpack[Common]) -> Request[Refund]:
    """Give back a charge, or `amount` of it. Raises RefundExceedsCharge."""
    return write(path("charges", charge_id, "refund"), Refund, {"amount": optional_amount(amount)}, common)


def transfer(from_user: str, to_user: str, amount: Amount, **common: Unpack[Common]) -> Request[Transfer]:
    """Move credits to another user. It may come back `pending`: `wait(transfer.id)` waits for the outcome."""
    fields = {"from_user": from_user, "to_user": to_user, "amount": amount_text(amount)}
    return write(path("transfers"), Transfer, fields, common)


def get_transfer(transfer_id: str) -> Request[Transfer]:
    """A transfer as it stands now."""
    return read(path("transfers", transfer_id), one(Transfer))


def adjust(user: str, amount: Amount, reason: str, **labels: Unpack[Labels]) -> Request[Adjustment]:
    """Correct a balance by hand, up or down by the sign of `amount`."""
    fields = {"user": user, "amount": amount_text(amount), "reason": reason}
    return write(path("adjustments"), Adjustment, fields, labels)


def act(user: str, action: str, **common: Unpack[Common]) -> Request[Earning]:
    """Earn by an action of the app's earning rules. Raises AlreadyEarned when it has earned all it can."""
    return write(path("actions"), Earning, {"user": user, "action": action}, common)
