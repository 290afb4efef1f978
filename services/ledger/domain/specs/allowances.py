"""Plans: allowances that return each month."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.ledger.domain.amounts import parse_positive, parse_signed
from services.ledger.domain.specs.base import DURATION_S_MAX, Name, Strict
from services.ledger.domain.state import PRIORITY_DEFAULT

Period = Literal["calendar", "anniversary"]


class RolloverSpec(Strict):
    """How much of what is left is carried into the next period: what there is, but at least `min` and at most `max`."""

    min: str = "0"
    max: str


class AllowanceSpec(Strict):
    """A plan: `limit` credits each month, from the 1st at 00:00 in the app's zone on or from the account's own day.

    `priority` and `scope` are those of the lot that it makes. The plan that is the asset's `default` is everybody's
    from the opening of their account on. `grace_s`: for so long after `paid_until` a reset still happens.
    """

    limit: str
    asset: Name | None = None
    period: Period = "calendar"
    rollover: RolloverSpec | None = None
    priority: int = Field(default=PRIORITY_DEFAULT, ge=0, le=1_000_000)
    scope: list[Name] = Field(default=[], max_length=20)
    default: bool = False
    grace_s: int = Field(default=0, ge=0, le=DURATION_S_MAX)

    def check(self, scale: int) -> None:
        """AmountError or ValueError where an amount is none of an asset with `scale` decimals."""
        parse_positive(self.limit, scale)
        if self.rollover is not None:
            least, most = parse_signed(self.rollover.min, scale), parse_positive(self.rollover.max, scale)
            if not 0 <= least <= most:
                raise ValueError("a rollover is at least its min, which is not negative, and at most its max")
