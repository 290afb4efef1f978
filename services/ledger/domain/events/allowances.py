"""Plans and their allowances."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from services.ledger.domain.events.parts import ZERO, AccountEvent, NewLot, SliceOf, Time, Units

ResetCause = Literal["due", "by_hand", "unpaid", "no_plan"]


@dataclass(slots=True, kw_only=True)
class PlanAssigned(AccountEvent):
    """An account has this plan from now on; without one, what is left of its allowance lasts to the period's end.

    `renewed`: a new period began with it, so that nothing of the allowance before is left. Otherwise the period under
    way goes on, and `lot` is what a greater plan adds, `ended` what a smaller one takes. `lapsed`: it is not paid for.
    """

    plan: str | None = None
    limit: Units = ZERO
    period_start: Time | None = None
    period_end: Time | None = None
    anchor: Time | None = None
    paid_until: Time | None = None
    lot: NewLot | None = None
    ended: tuple[SliceOf, ...] = ()
    renewed: bool = False
    lapsed: bool = False


@dataclass(slots=True, kw_only=True)
class AllowanceReset(AccountEvent):
    """The allowance returned: all that was `ended` of the one before is lost, except what was `carried` over.

    `lot` is the limit and what was carried. Where the period was not paid for (`unpaid`) or the app has no such plan
    any more (`no_plan`), there is none and the allowance has lapsed. One that was due names when; `skipped` periods
    went by unseen before it, since `skipped_from`.
    """

    plan: str
    cause: ResetCause = "due"
    limit: Units = ZERO
    carried: Units = ZERO
    lot: NewLot | None = None
    ended: tuple[SliceOf, ...] = ()
    period_start: Time
    period_end: Time
    due_at: Time | None = None
    skipped: int = 0
    skipped_from: Time | None = None

    @property
    def moved(self) -> int:
        """The part of what was ended that is in the new lot."""
        return min(self.carried, sum(s.amount for s in self.ended))
