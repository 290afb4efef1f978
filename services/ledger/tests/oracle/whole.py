"""The machine with the rules of budgets and earning too, and `machine_for(factory)`: the test case for a subject."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import TestCase

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import invariant, precondition, rule

from services.ledger.tests.oracle.budgets import Budget
from services.ledger.tests.oracle.machine import (
    SERVICES,
    USERS,
    amounts,
    maybe_amounts,
    picks,
    services,
    text,
    users,
)
from services.ledger.tests.oracle.subject import Subject
from services.ledger.tests.oracle.tariff import CALLER
from services.ledger.tests.oracle.tariff_machine import TariffMachine

MEMBERS = ("kim", "lee")
members = st.sampled_from([None, *MEMBERS])
whom = st.sampled_from([(None, None), (None, None), ("kim", None), ("*", None), (None, CALLER), (None, "another")])
budgets = st.lists(
    st.builds(
        lambda name, period, limit, hard, counted: Budget(name, period, limit, hard, *counted),
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from(["day", "day", "week", "month", "lifetime"]),
        st.sampled_from([50, 150, 300]),
        st.sampled_from([True, True, False]),
        whom,
    ),
    max_size=3,
    unique_by=lambda budget: budget.name,
)


class WholeMachine(TariffMachine):
    """Members spend and reserve under budgets, days pass, actions earn anew."""

    @rule(user=users, new=budgets)
    def set_budgets(self, user: str, new: list[Budget]) -> None:
        given = [
            {
                "name": b.name,
                "period": b.period,
                "limit": text(b.limit),
                "hard": b.hard,
                "member": b.member,
                "key": b.key,
            }
            for b in new
        ]
        own = [replace(budget, entries=[]) for budget in new]
        self.both("set_budgets", user, {"budgets": given}, lambda _: self.model.set_budgets(user, own))

    @rule(user=users, amount=amounts, service=services, member=members)
    def spend(self, user: str, amount: int, service: str | None, member: str | None) -> None:
        self.charge(user, amount, service, member)

    @rule(
        user=users, estimate=amounts, actual=maybe_amounts, member=members, partial=st.booleans(), final=st.booleans()
    )
    def use(
        self, *, user: str, estimate: int, actual: int | None, member: str | None, partial: bool, final: bool
    ) -> None:
        """A member's hold, and perhaps its capture."""
        made = self.reserve(user, estimate, ttl=300, service=None, grant=None, partial=partial, member=member)
        if made and actual is not None:
            self.take(self.holds[-1], actual, final=final)

    @rule(user=users, times=st.integers(1, 3))
    def visit(self, user: str, times: int) -> None:
        for _ in range(times):
            self.act(user, "visit")

    @precondition(lambda self: len(self.done) % 4 == 0)
    @rule(seconds=st.sampled_from([86_400 - 100, 86_400, 3 * 86_400]), pick=picks)
    def sleep(self, seconds: int, pick: int) -> None:
        """Days pass; a hold that was made just before one ends may be open still."""
        now = int(self.model.now)
        self.advance(seconds if pick % 2 else 86_400 - now % 86_400 - 50)

    @invariant()
    def shows_the_models_budgets(self) -> None:
        for user in USERS:
            state = self.subject.state(user, SERVICES[0])
            if state is None:
                continue
            spending = self.model.account(user).spending
            for shown, budget in zip(state["budgets"], spending.budgets, strict=True):
                assert shown["name"] == budget.name
                if budget.member == "*":
                    told = {each["member"]: each["used"] for each in shown["members"] if each["used"] != text(0)}
                    used = {member: budget.used(self.model.now, member) for member in MEMBERS}
                    assert told == {member: text(n) for member, n in used.items() if n}, (user, shown)
                else:
                    used_now = budget.used(self.model.now, budget.member)
                    assert shown["used"] == text(used_now), (user, shown)
                    assert shown["left"] == text(max(0, budget.limit - used_now))


def machine_for(make: Callable[[], Subject], *, examples: int, steps: int) -> type[TestCase]:
    """The unittest case that pytest collects for a subject: so many trials, so many steps in each at most."""
    machine: Any = type("Machine", (WholeMachine,), {"make": staticmethod(make)})
    case: Any = machine.TestCase
    case.settings = settings(max_examples=examples, stateful_step_count=steps, deadline=None)
    checked: type[TestCase] = case
    return checked
