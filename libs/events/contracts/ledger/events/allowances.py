"""Plans and their allowances."""

from __future__ import annotations

from typing import Literal

from libs.events.contracts.base import contract
from libs.events.contracts.ledger.events.parts import AccountEvent, NewLot, SliceOf
from libs.events.contracts.ledger.fields import Credits, Time


@contract("ledger.plan_assigned.v1")
class PlanAssigned(AccountEvent):
    """An account has this plan from now on; without one, what is left of its allowance lasts to the period's end.

    `renewed`: a new period began with it. Otherwise `lot` is what a greater plan adds to the period under way, `ended`
    what a smaller one takes. `lapsed`: the plan is not paid for.
    """

    plan: str | None = None
    limit: Credits = "0"
    period_start: Time | None = None
    period_end: Time | None = None
    anchor: Time | None = None
    paid_until: Time | None = None
    lot: NewLot | None = None
    ended: tuple[SliceOf, ...] = ()
    renewed: bool = False
    lapsed: bool = False


@contract("ledger.allowance_reset.v1")
class AllowanceReset(AccountEvent):
    """The allowance returned, `by_hand` or when it was `due`: `lot` is its limit and what was `carried` over.

    Where the period was not paid for (`unpaid`) or the app has no such plan any more (`no_plan`) there is no lot: the
    allowance has lapsed. `skipped` periods went by unseen before it, since `skipped_from`.
    """

    plan: str
    cause: Literal["due", "by_hand", "unpaid", "no_plan"] = "due"
    limit: Credits = "0"
    carried: Credits = "0"
    lot: NewLot | None = None
    ended: tuple[SliceOf, ...] = ()
    period_start: Time
    period_end: Time
    due_at: Time | None = None
    skipped: int = 0
    skipped_from: Time | None = None
