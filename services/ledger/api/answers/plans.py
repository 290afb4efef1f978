"""Plans and their allowances."""

from __future__ import annotations

from services.ledger.api.answers.base import Answer, Credits, Time, Written


class Allowance(Answer):
    """The allowance of the period under way. `used` is what was spent since `last_reset`, of any credits.

    `status`: `active`; `lapsed`, because it is not paid for or the app has no such plan any more; `ended`, by the
    end of the plan: then what is left lasts to the period's end.
    """

    status: str
    limit: Credits
    carried: Credits
    left: Credits
    used: Credits
    last_reset: Time
    next_reset: Time | None
    period_start: Time
    period_end: Time
    anchor: Time | None
    paid_until: Time | None


class Plan(Written):
    """The account's plan and its allowance; `id` is the user."""

    id: str
    user: str
    plan: str | None
    allowance: Allowance | None
