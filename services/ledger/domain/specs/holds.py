"""Limits of holds."""

from __future__ import annotations

from pydantic import Field, model_validator

from services.ledger.domain.specs.base import DAY_S, DURATION_S_MAX, Strict


class HoldLimitSpec(Strict):
    """Seconds that a hold lasts by default, and at most, counted from its creation."""

    default_s: int = Field(default=300, gt=0)
    max_s: int = Field(default=DAY_S, gt=0, le=DURATION_S_MAX)

    @model_validator(mode="after")
    def _default_within_max(self) -> HoldLimitSpec:
        if self.default_s > self.max_s:
            raise ValueError("default_s is more than max_s")
        return self


class HoldLimitsSpec(HoldLimitSpec):
    """The app's limits, and those of roles that differ. `open_max`: holds that one account may have at once."""

    open_max: int = Field(default=1000, ge=1, le=10_000)
    roles: dict[str, HoldLimitSpec] = Field(default={})
