"""A redemption: one use of a code by somebody, from its reservation to its end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from services.codes.domain.codes import Kind
from services.codes.domain.settling import Status


@dataclass(frozen=True, slots=True)
class Redemption:
    """A row with what its code says of itself; times are microseconds since the epoch.

    `command_id` is the command for its credits, once that was sent: from then on the reservation has no end of its own
    (`expires_at` is None) and waits for the outcome. `granted` is what the ledger told, `refusal` why it was ended.
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

    @property
    def waiting(self) -> bool:
        """Whether the ledger has been asked for its credits and has not told."""
        return self.status == "reserved" and self.command_id is not None


@dataclass(frozen=True, slots=True)
class Claim:
    """What somebody says has become of a redemption: see :mod:`services.codes.domain.settling` for which one stands.

    `outcome`: the ledger says it of the command that the redemption waits for; nobody else can end one that waits.
    """

    redemption_id: str
    status: Status
    granted: Mapping[str, Any] | None = None
    refusal: str | None = None
    outcome: bool = False
