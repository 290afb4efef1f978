"""Refusals as problems, in the language of whoever is refused."""

from __future__ import annotations

from typing import Any

from libs.service.clock import format_time
from libs.service.i18n.formats import moment_text, money_text, number_text, wait_text
from libs.service.once import KEPT, Result, Wish, refusal
from libs.service.problems import Problem
from services.codes.core import Core
from services.codes.domain.codes import Code, Refusal, RefusalCode
from services.codes.domain.texts import normalise
from services.codes.handlers.guarding import Told
from services.codes.handlers.reserving import Order
from services.codes.wording import refusal_text
from services.codes.wording.text import Text

STATUSES: dict[RefusalCode, int] = {"code_not_found": 404, "locked_out": 429}
"""The others are 409."""


def problem_of(reason: Refusal, order: Order, code: Code | None, zone: str) -> Problem:
    """The answer to somebody who is refused; `zone` is where the app's times are shown."""
    text = said(reason, order, code, zone)
    headers = {"Retry-After": str(reason.facts["retry_after_s"])} if reason.code == "locked_out" else None
    return Problem(
        text.detail,
        status=STATUSES.get(reason.code, 409),
        code=reason.code,
        title=text.title,
        next=text.next,
        extra=facts_shown(reason),
        headers=headers,
    )


def refused(core: Core, told: Told, order: Order, wish: Wish) -> Result:
    """The answer to a wish that was refused. Being locked out is raised, since it is over a while later.

    The others are not raised: what was counted and kept before them must stay.
    """
    problem = problem_of(told.refusal, order, told.code, core.configs.get(order.app).document.zone)
    if problem.status not in KEPT:
        raise problem
    return refusal(problem, wish)


def facts_shown(reason: Refusal) -> dict[str, Any]:
    """What a program can read of a refusal beside its code."""
    return {name: format_time(value) if name.endswith("_at") else value for name, value in reason.facts.items()}


def said(reason: Refusal, order: Order, code: Code | None, zone: str) -> Text:
    """A refusal in the words of the order's language. A code is named as it was entered."""
    facts, language = reason.facts, order.language
    values = {"code": normalise(order.text)}
    for name in ("starts_at", "ends_at"):
        if name in facts:
            values[name] = moment_text(facts[name], language, zone)
    if "retry_after_s" in facts:
        values["wait"] = wait_text(facts["retry_after_s"], language)
    if "balance" in facts:
        values["balance"] = number_text(facts["balance"], language)
    discount = None if code is None else code.terms.discount
    if discount is not None and order.checkout is not None:
        sum_minor, currency = order.checkout.amount_minor, order.checkout.currency
        values["currency"] = discount.currency or currency
        values["service"] = discount.service or ""
        values["minimum"] = money_text(discount.min_minor, currency, language)
        values["sum"] = money_text(sum_minor, currency, language)
        values["missing"] = money_text(max(0, discount.min_minor - sum_minor), currency, language)
    return refusal_text(reason.code, values, language)
