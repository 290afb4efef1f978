"""Prices, quotes, plans and budgets."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Unpack

from .._request import Common, Request, Spend, cost_fields, one, read, write
from ..models import AccountPlan, Budget, Budgets, BudgetsSet, Prices, Quote
from ..values import amount_text, path, present, time_text


def prices(*, user: str | None = None, list: str | None = None) -> Request[Prices]:  # noqa: A002 -- the query's own name
    """The app's price book in force; as it is for the customer `user`, or on the price list of that name."""
    return read(path("prices"), one(Prices), user=user, list=list)


def quote(
    user: str | None = None,
    *,
    service: str | None = None,
    **common: Unpack[Spend],
) -> Request[Quote]:
    """What something would cost, from which lots, and whether `user` could pay it; nothing is taken.

    A charge or a hold that names the quote costs this while it is valid.
    """
    return write(path("quotes"), Quote, {"user": user, "service": service}, cost_fields(None, common))


def assign_plan(
    user: str,
    plan: str | None,
    *,
    anchor: datetime | None = None,
    paid_until: datetime | None = None,
    **common: Unpack[Common],
) -> Request[AccountPlan]:
    """Put an account on a plan of the app's allowances, or with None on none.

    `anchor` is where its periods are counted from (plans by anniversary), `paid_until` when it ends unless renewed.
    """
    fields = {
        "anchor": time_text(anchor) if anchor else None,
        "paid_until": time_text(paid_until) if paid_until else None,
    }
    request = write(path("accounts", user, "plan"), AccountPlan, fields, common, method="PUT")
    return replace(request, json={"plan": plan, **(request.json or {})})


def reset(user: str, **common: Unpack[Common]) -> Request[AccountPlan]:
    """Restore an account's allowance to its limit now; the schedule stays."""
    return write(path("accounts", user, "reset"), AccountPlan, {}, common)


def set_budgets(user: str, budgets: Sequence[Budget], **common: Unpack[Common]) -> Request[BudgetsSet]:
    """Replace an account's budgets. What was used in the present period still counts."""
    entries = [
        present(
            {
                "name": each.name,
                "member": each.member,
                "key": each.key,
                "period": each.period,
                "limit": amount_text(each.limit),
                "hard": each.hard,
            }
        )
        for each in budgets
    ]
    return write(path("accounts", user, "budgets"), BudgetsSet, {"budgets": entries}, common, method="PUT")


def budgets(user: str, *, asset: str | None = None) -> Request[Budgets]:
    """An account's budgets and what was used of each."""
    return read(path("accounts", user, "budgets"), one(Budgets), asset=asset)
