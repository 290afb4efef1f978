"""The model of what the app's file decides: plans, earning, quotes, prices of use, budgets."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import inf
from typing import NamedTuple

from services.ledger.tests.oracle.account import Allowance
from services.ledger.tests.oracle.budgets import Budget
from services.ledger.tests.oracle.model import Model, Refused
from services.ledger.tests.oracle.tariff import ACTIONS, CAPS, MONTHS, PLANS, QUOTE_S, cost_of_use


class Quote(NamedTuple):
    """A price that was promised: so many tokens of the model, at the rates of the moment at which it was made."""

    made: float
    read: int
    written: int

    @property
    def amount(self) -> int:
        return cost_of_use(self.read, self.written, self.made)


@dataclass
class TariffModel(Model):
    """Every account of the trial's app."""

    quotes: dict[str, Quote] = field(default_factory=dict)

    def assign(self, user: str, plan: str | None, paid_for: int | None) -> None:
        """`paid_for`: seconds from now; None is for ever."""
        account = self.account(user)
        self._open(account)
        if plan is not None and plan not in PLANS:
            raise Refused("plan_not_found")
        account.opened = True
        had, until = account.allowance, inf if paid_for is None else self.now + paid_for
        if plan is None:
            if had is not None and had.plan is not None:
                had.plan, had.paid_until, had.lapsed = None, inf, False
            return
        paid, limit = self.now < until, PLANS[plan].limit
        if had is None or self.now >= had.end:
            account.end_allowance()
            end = next(month for month in MONTHS if month > self.now)
            lots = [account.allow(limit, self.now, end)] if paid else []
            account.allowance = Allowance(plan, end, until, lots, limit if paid else 0, lapsed=not paid)
            return
        if (had.plan, had.lapsed) != (plan, False):
            free = sum(lot.free for lot in had.lots if not lot.ended)
            more = max(0, limit + had.carried - (had.given - free)) - free
            if more > 0 and paid:
                had.lots.append(account.allow(more, self.now, had.end))
                had.given += more
            for lot, taken in account.take(sorted(had.lots, key=lambda lot: lot.order, reverse=True), max(0, -more)):
                lot.gone += taken
                had.given -= taken
            had.lapsed = had.lapsed and not paid
        had.plan, had.paid_until = plan, until

    def reset(self, user: str) -> None:
        account = self.account(user)
        self._open(account)
        had = account.allowance
        if had is None or had.plan is None or had.lapsed:
            raise Refused("no_allowance")
        account.end_allowance()
        had.given, had.carried = PLANS[had.plan].limit, 0
        had.lots = [account.allow(had.given, self.now, had.end)]

    def act(self, user: str, id_: str, action: str) -> None:
        account = self.account(user)
        if action not in ACTIONS:
            raise Refused("unknown_action")
        self._open(account)
        amount, group, times, period = ACTIONS[action]
        if account.spending.times(group, period, self.now) >= times:
            raise Refused("already_earned")
        if any(account.spending.earned_in(period, self.now) + amount > limit for period, limit in CAPS.items()):
            raise Refused("earning_cap_reached")
        account.spending.earned.append((self.now, group, amount))
        account.repay([self._lot(account, id_, amount, source="earned")])

    def quote(self, id_: str, read: int, written: int) -> None:
        self.quotes[id_] = Quote(self.now, read, written)

    def quoted(self, user: str, quote: str) -> Quote:
        """What was promised, if the account may spend and the promise lasts."""
        self._open(self.account(user), frozen_too=True)
        found = self.quotes[quote]
        if self.now >= found.made + QUOTE_S:
            raise Refused("quote_expired")
        return found

    def cost_by(self, user: str, hold_id: str, read: int, written: int) -> int:
        """What so many tokens cost by the rates of a hold."""
        hold = self._hold_named(self.account(user), hold_id)
        if hold.priced_at is None:
            raise Refused("hold_not_priced")
        return cost_of_use(read, written, hold.priced_at)

    def estimate(self, user: str, hold_id: str, read: int, written: int) -> None:
        """The hold is to last for so many tokens in all."""
        cost = self.cost_by(user, hold_id, read, written)
        hold = self.accounts[user].holds[hold_id]
        more = cost - hold.captured - sum(n for _, n in hold.parts)
        self.extend(user, hold_id, None, more if more > 0 else None, partial=False)

    def set_budgets(self, user: str, budgets: list[Budget]) -> None:
        account = self.account(user)
        self._open(account)
        account.opened = True
        account.spending.set(budgets)
