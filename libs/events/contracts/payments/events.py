"""What payments tells of an order: that it was paid, has failed, has run out, or that money of it went back.

The app is in the envelope, and the user who pays is its subject. Money is in integer minor units of `currency` (ISO
4217), times are RFC 3339 in UTC with microseconds, credits decimal strings. Events of one order come in the order in
which they happened, yet a consumer must live with any: an order that was told as failed or expired may still be paid,
because a provider settles late, and money may be told as returned before it is told as paid.
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

Code = Annotated[str, StringConstraints(pattern=r"^[a-z0-9_]{1,64}$")]
"""A short name that programs compare: of a method, a purpose, a reason. Readers must pass over one they don't know."""


class OrderEvent(Event):
    """What every event of an order says.

    `checkout` is what codes are reserved for, and `redemptions` are those reservations, in the order in which they were
    applied. `total_minor` is the price before codes, `amount_minor` what the customer pays: `total_minor` less
    `discount_minor`, tax included. `started_at` is when the payment began, that is, when the customer was sent to the
    provider with this price: what was reserved then is owed, however late the money comes.
    """

    order: str
    checkout: str
    total_minor: Minor
    discount_minor: Minor = 0
    amount_minor: Minor
    currency: Currency
    redemptions: Annotated[tuple[str, ...], Field(max_length=20)] = ()
    method: Code
    provider: Code | None = None
    purpose: Code = "purchase"
    service: str | None = None
    package: str | None = None
    plan: str | None = None
    started_at: Time


@contract("payments.order_paid.v1")
class OrderPaid(OrderEvent):
    """The whole amount has settled; told once for an order.

    `first` is true for the customer's first settled payment in the app, whatever becomes of it later. `tax_minor` is
    the tax within the amount. `credits` is what the order itself buys, without what its codes add, and `grant` the
    ledger's grant of them where it is known. `payer_digest` is the same for payments from the same card, wallet or
    account of the app, and tells nothing else.
    """

    payment: str
    settled_at: Time
    first: bool = False
    tax_minor: Minor = 0
    credits: Credits | None = None
    grant: str | None = None
    invoice: str | None = None
    payer_digest: str | None = None


@contract("payments.order_failed.v1")
class OrderFailed(OrderEvent):
    """The order ended unpaid: the provider refused it for good, or somebody cancelled it. A declined attempt that may
    be repeated is not told."""

    failed_at: Time
    reason: Code


@contract("payments.order_expired.v1")
class OrderExpired(OrderEvent):
    """Nobody paid in time."""

    expired_at: Time


@contract("payments.order_refunded.v1")
class OrderRefunded(OrderEvent):
    """Money went back: by a refund, or by a dispute that was lost; told once for each.

    `refunded_minor` went back with this `refund`, `refunded_total_minor` with all so far, and `whole` says that nothing
    of the payment is left. `first` is as it was told with the payment.
    """

    refund: str
    refunded_at: Time
    refunded_minor: Annotated[int, Field(gt=0, le=10**15)]
    refunded_total_minor: Annotated[int, Field(gt=0, le=10**15)]
    whole: bool
    reason: Code
    first: bool = False
    payment: str | None = None
