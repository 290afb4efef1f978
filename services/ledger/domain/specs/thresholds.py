"""Thresholds: levels whose crossing the ledger tells of."""

from __future__ import annotations

from pydantic import Field, model_validator

from services.ledger.domain.amounts import parse_signed
from services.ledger.domain.specs.base import Name, Strict
from services.ledger.domain.state import Threshold


class ThresholdSpec(Strict):
    """A level of `available`, crossed downward; armed again at `rearm_at` (the level itself by default).

    Instead of credits, `below_percent` and `rearm_percent` are per cent of the limit of the account's plan.
    """

    below: str | None = None
    rearm_at: str | None = None
    below_percent: int | None = Field(default=None, ge=1, le=1000)
    rearm_percent: int | None = Field(default=None, ge=1, le=1000)
    asset: Name | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> ThresholdSpec:
        if (self.below is None) == (self.below_percent is None):
            raise ValueError("a threshold has either below or below_percent")
        if (self.rearm_at is not None and self.below is None) or (self.rearm_percent and self.below_percent is None):
            raise ValueError("a threshold is armed again at a level of the same kind")
        if self.below_percent is not None and (self.rearm_percent or self.below_percent) < self.below_percent:
            raise ValueError("a threshold is armed again at or above its level")
        return self

    def check(self, scale: int) -> None:
        """AmountError or ValueError where the levels are none of an asset with `scale` decimals."""
        threshold = self.compiled(scale)
        if threshold.rearm_at < threshold.level:
            raise ValueError("a threshold is armed again at or above its level")

    def compiled(self, scale: int) -> Threshold:
        """The threshold in units."""
        if self.below is None:
            return Threshold(0, 0, self.below_percent, self.rearm_percent)
        level = parse_signed(self.below, scale)
        return Threshold(level, level if self.rearm_at is None else parse_signed(self.rearm_at, scale))
