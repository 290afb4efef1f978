"""A redemption: one use of a code by somebody, from its reservation to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.codes.domain.codes import Kind
from services.codes.domain.settling import Status, claim_of_payment, settled


@dataclass(frozen=True, slots=True)
class Redemption:
    """A row with what its code says of itself; times are microseconds since the epoch.

    `command_id` is the command for its credits, once that was sent: from then on a reservation has no end of its own
    (`expires_at` is None) and waits for the outcome. `granted` is what the ledger told, `refusal` why it was ended.
    `entitlement_id` is what it left without a checkout, and what it took with one. `late`: a payment that had begun in
    time confirmed it after its use had been given back. `balance` is what its gift code has left. `revoke_id` is the
    command that takes its credits back.
    """

    id: str
    app: str
    code_id: str
    user_id: str
    caller: str
    kind: Kind
    status: Status
    reserved_at: int
    campaign_id: str | None = None
    batch_id: str | None = None
    checkout: str | None = None
    amount: Decimal | None = None
    discount_minor: int | None = None
    currency: str | None = None
    entitlement_id: str | None = None
    command_id: str | None = None
    granted: Mapping[str, Any] | None = None
    refusal: str | None = None
    expires_at: int | None = None
    ended_at: int | None = None
    balance: Decimal | None = None
    late: bool = False
    revoke_id: str | None = None

    @property
    def is_use(self) -> bool:
        """Whether it counts as a use of its code: a discount that was taken by an entitlement does not."""
        return self.checkout is None or self.entitlement_id is None

    @property
    def grant(self) -> str | None:
        """The ledger's grant of its credits, once that has told."""
        return None if self.granted is None else self.granted.get("grant")

    @property
    def waiting(self) -> bool:
        """Whether the ledger has been asked for its credits and has not told."""
        return self.status == "reserved" and self.command_id is not None

    def after(self, claim: Claim) -> Status:
        """Its status once somebody has claimed how it ended."""
        if self.waiting and not claim.outcome:
            return self.status
        if claim.due_at is not None and claim.due_at != self.expires_at:
            return self.status
        status = claim.status
        if status == "confirmed" and claim.began_us is not None and self.expires_at is not None:
            status = claim_of_payment(claim.began_us, self.expires_at)
        return settled(self.status, status)


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody says has become of a redemption: see :mod:`services.codes.domain.settling` for which one stands.

    `outcome`: the ledger says it of the command that the redemption waits for; nobody else can end one that waits.
    `began_us`: when the payment began that is to confirm it. `due_at`: which end of it has come, because one that was
    reserved again has another.
    """

    redemption_id: str
    status: Status
    granted: Mapping[str, Any] | None = None
    refusal: str | None = None
    outcome: bool = False
    began_us: int | None = None
    due_at: int | None = None
