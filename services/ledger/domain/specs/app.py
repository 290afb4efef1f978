"""What an app is made of: its kinds of credits, its policies, its switches, its clock in test mode."""

from __future__ import annotations

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from services.ledger.domain.amounts import SCALE_MAX
from services.ledger.domain.specs.base import DAY_S, DURATION_S_MAX, Strict
from services.ledger.domain.state import RevokePolicy


class AssetSpec(Strict):
    """A kind of credits. The scale never changes once the asset exists."""

    scale: int = Field(ge=0, le=SCALE_MAX)
    default: bool = False


class PoliciesSpec(Strict):
    """How the app wants the cases that have no one right answer to be settled.

    `lots_max`: lots that one account may have, before gifts and transfers to it are refused. `budgets_max`: budgets
    that one account may have. `budget_members_max`: members that one of them counts in a period, before others are
    refused.
    """

    lots_max: int = Field(default=1000, ge=1, le=10_000)
    budgets_max: int = Field(default=20, ge=0, le=100)
    budget_members_max: int = Field(default=1000, ge=1, le=10_000)
    capture_tolerance_percent: int = Field(default=0, ge=0, le=1000)
    refund_grace_s: int = Field(default=7 * DAY_S, gt=0, le=DURATION_S_MAX)
    revoke: RevokePolicy = "debt"
    top_up_url: str | None = Field(default=None, max_length=500, pattern=r"^https?://")


class SwitchesSpec(BaseModel):
    """Features of the ledger that an app may switch off. Every service gets all switches and reads its own."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    transfers: bool = True
    actions: bool = True
    holds: bool = True


class TestModeSpec(Strict):
    """An app in test mode has a clock of its own that starts here and moves forward by hand."""

    clock_start: AwareDatetime
