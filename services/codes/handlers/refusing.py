"""Refusals as problems."""

from __future__ import annotations

from libs.service.clock import format_time
from libs.service.problems import Problem
from services.codes.domain.codes import Refusal, RefusalCode

STATUSES: dict[RefusalCode, int] = {"code_not_found": 404, "locked_out": 429}
"""The others are 409."""
TITLES: dict[RefusalCode, str] = {
    "locked_out": "Too many wrong codes: try again later",
    "code_not_found": "There is no such code",
    "code_inactive": "The code is not active",
    "code_not_yet_valid": "The code is not valid yet",
    "code_expired": "The code has expired",
    "code_used_up": "The code has been used as often as it may",
    "code_already_redeemed": "You have used this code already",
    "code_not_for_you": "The code is not for you",
    "below_minimum": "The purchase is below the code's minimum",
    "wrong_currency": "The code is for another currency",
    "wrong_service": "The code is for another service",
    "codes_do_not_stack": "The code does not go together with another code of the checkout",
    "above_balance": "There is less left on the code",
    "budget_spent": "The campaign of the code has nothing left to give",
}


def problem_of(refusal: Refusal) -> Problem:
    """The answer to somebody who is refused."""
    facts = {name: format_time(value) if name.endswith("_at") else value for name, value in refusal.facts.items()}
    status = STATUSES.get(refusal.code, 409)
    return Problem(TITLES[refusal.code], status=status, code=refusal.code, title=TITLES[refusal.code], extra=facts)
