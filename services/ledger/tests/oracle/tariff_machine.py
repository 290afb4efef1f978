"""The rules of plans, earning and prices, and of batches, for the machine."""

from __future__ import annotations

from copy import deepcopy
from datetime import timedelta
from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from services.ledger.tests.oracle.machine import LedgerMachine, Named, amounts, nth, picks, services, text, users
from services.ledger.tests.oracle.model import Refused
from services.ledger.tests.oracle.subject import START, Item
from services.ledger.tests.oracle.tariff import ACTIONS, CALLER, DEARER_AT, MONTHS, cost_of, cost_of_use

tokens = st.sampled_from([(1, 0), (1, 1), (3, 2), (0, 5), (7, 9)])
MODEL = "tiny"


def usage(counts: tuple[int, int]) -> dict[str, int]:
    """Tokens as fields have them."""
    return {"input": counts[0], "output": counts[1]}


class TariffMachine(LedgerMachine):
    """Commands that the app's file says the price or the worth of."""

    def __init__(self) -> None:
        super().__init__()
        self.quotes: list[Named] = []
        self.batches = 0

    @precondition(lambda self: len(self.done) % 3 == 0)
    @rule(user=users, action=st.sampled_from([*ACTIONS, "unknown"]))
    def act(self, user: str, action: str) -> None:
        body = self.both(
            "perform_action", user, {"action": action}, lambda body: self.model.act(user, body.get("id", ""), action)
        )
        if body:
            self.grants.append((user, body["id"]))

    @rule(user=users, quantity=st.sampled_from(["0.5", "1", "2.000001", "3"]), service=services)
    def charge_by_price(self, user: str, quantity: str, service: str | None) -> None:
        fields = {"price": "draw", "quantity": quantity, "service": service}
        amount = cost_of(quantity)
        body = self.both(
            "charge_credits", user, fields, lambda body: self.model.charge(user, body.get("id", ""), amount, service)
        )
        if body:
            assert body["amount"] == text(amount)
            self.charges.append((user, body["id"]))

    @rule(user=users, counts=tokens, service=services)
    def charge_by_use(self, user: str, counts: tuple[int, int], service: str | None) -> None:
        fields = {"model": MODEL, "usage": usage(counts), "service": service}
        amount = cost_of_use(*counts, self.model.now)
        body = self.both(
            "charge_credits", user, fields, lambda body: self.model.charge(user, body.get("id", ""), amount, service)
        )
        if body:
            assert body["amount"] == text(amount)
            self.charges.append((user, body["id"]))

    @rule(user=users, counts=tokens)
    def quote(self, user: str, counts: tuple[int, int]) -> None:
        amount = cost_of_use(*counts, self.model.now)
        account = self.model.account(user)
        allowed = amount <= account.spending.left(self.model.now, None, CALLER)
        can = not account.closed and not account.freezes and amount <= account.available() and allowed
        fields = {"model": MODEL, "usage": usage(counts)}
        body = self.both("quote", user, fields, lambda body: self.model.quote(body["id"], *counts))
        assert (body["amount"], body["affordable"], body["budget"] is None) == (text(amount), can, allowed)
        self.quotes.append((user, body["id"]))

    @precondition(lambda self: self.quotes)
    @rule(pick=picks, counts=tokens, later=st.sampled_from([0, 0, 60, 600]), hold=st.booleans(), final=st.booleans())
    def accept(self, *, pick: int, counts: tuple[int, int], later: int, hold: bool, final: bool) -> None:
        """A charge at a promised price, or a hold at it and a capture by what was used in the end."""
        user, quote = nth(self.quotes, pick % 3)
        if later:
            self.advance(later)
        fields = {"quote": quote}
        if not hold:
            body = self.both(
                "charge_credits",
                user,
                fields,
                lambda body: self.model.charge(user, body.get("id", ""), self.model.quoted(user, quote).amount, None),
            )
            self.charges += [(user, body["id"])] if body else []
            return

        def model(body: dict[str, Any]) -> None:
            promised = self.model.quoted(user, quote)
            self.model.hold(
                user,
                body.get("id", ""),
                promised.amount,
                ttl=None,
                service=None,
                grant=None,
                partial=False,
                priced_at=promised.made,
            )

        body = self.both("create_hold", user, fields, model)
        if body:
            self.holds.append((user, body["id"]))
            self.settle((user, body["id"]), counts, final=final)

    @precondition(lambda self: self.done and self.model.now < DEARER_AT - 30)
    @rule(user=users, counts=tokens, hold=st.booleans(), final=st.booleans())
    def accept_when_it_is_dearer(self, user: str, counts: tuple[int, int], hold: bool, final: bool) -> None:
        """A promise of before the price rose, and what is used under it after."""
        self.advance(int(DEARER_AT - 30 - self.model.now))
        self.quote(user, counts)
        self.accept(pick=0, counts=counts, later=60, hold=hold, final=final)

    @rule(user=users, counts=tokens, partial=st.booleans())
    def hold_for_use(self, user: str, counts: tuple[int, int], partial: bool) -> None:
        amount, now = cost_of_use(*counts, self.model.now), self.model.now
        body = self.both(
            "create_hold",
            user,
            {"model": MODEL, "usage": usage(counts), "partial": partial},
            lambda body: self.model.hold(
                user,
                body.get("id", ""),
                amount,
                ttl=None,
                service=None,
                grant=None,
                partial=partial,
                priced_at=now,
            ),
        )
        if body:
            self.holds.append((user, body["id"]))

    @precondition(lambda self: self.holds)
    @rule(pick=picks, counts=tokens, final=st.booleans())
    def capture_by_use(self, pick: int, counts: tuple[int, int], final: bool) -> None:
        self.settle(self.a_hold(pick), counts, final=final)

    def settle(self, hold: Named, counts: tuple[int, int], *, final: bool) -> None:
        """A capture by what was used."""
        user, id_ = hold
        body = self.both(
            "capture_hold",
            user,
            {"hold": id_, "usage": usage(counts), "final": final},
            lambda body: self.model.capture(
                user, id_, body.get("charge", ""), self.model.cost_by(user, id_, *counts), final
            ),
        )
        self.charges += [(user, body["charge"])] if body else []

    @precondition(lambda self: self.holds)
    @rule(pick=picks, counts=tokens)
    def extend_for_use(self, pick: int, counts: tuple[int, int]) -> None:
        user, id_ = self.a_hold(pick)
        fields = {"hold": id_, "usage": usage(counts)}
        self.both("extend_hold", user, fields, lambda _: self.model.estimate(user, id_, *counts))

    @rule(
        user=users,
        atomic=st.booleans(),
        wanted=st.lists(
            st.tuples(st.sampled_from(["grant", "charge", "charge", "hold"]), amounts), min_size=2, max_size=4
        ),
    )
    def batch(self, user: str, atomic: bool, wanted: list[tuple[str, int]]) -> None:
        """Several commands at once, each on its own, or all or none."""
        self.batches += 1
        names = {"grant": "grant_credits", "charge": "charge_credits", "hold": "create_hold"}
        items = [
            Item(names[kind], {"amount": text(amount)}, f"batch-{self.batches}-{number}")
            for number, (kind, amount) in enumerate(wanted)
        ]
        results = self.subject.together(items, user, atomic=atomic)
        before, refusals = deepcopy(self.model), []
        for number, (kind, amount) in enumerate(wanted):
            body = results[number][1] if len(results) == len(wanted) else {}
            try:
                self._one(kind, user, body.get("id", ""), amount)
                refusals.append("done")
            except Refused as refused:
                refusals.append(str(refused))
                if atomic:
                    self.model = before
                    ((_, told),) = results
                    assert (told["code"], told["index"]) == (refusals[-1], number), (items, results)
                    return
        assert [body["code"] if status >= 400 else "done" for status, body in results] == refusals, (items, results)
        made = {"grant": self.grants, "charge": self.charges, "hold": self.holds}
        for item, (kind, _), (status, body) in zip(items, wanted, results, strict=True):
            self.done.append((item.command, item.fields, user, item.key, status, body))
            if status < 400:
                made[kind].append((user, body["id"]))

    def _one(self, kind: str, user: str, id_: str, amount: int) -> None:
        if kind == "grant":
            self.model.grant(user, id_, amount, source="promo", priority=100, start=self.model.now, end=inf, scope=[])
        elif kind == "charge":
            self.model.charge(user, id_, amount, None)
        else:
            self.model.hold(user, id_, amount, ttl=None, service=None, grant=None, partial=False)

    @precondition(lambda self: len(self.done) % 4 == 0)
    @rule(
        user=users,
        plan=st.sampled_from(["small", "large", "rolling", "large", None, "unknown"]),
        paid_for=st.sampled_from([None, None, -10, 1000, 40 * 86_400]),
        by_hand=st.booleans(),
    )
    def assign(self, user: str, plan: str | None, paid_for: int | None, by_hand: bool) -> None:
        """A plan, and perhaps its allowance restored by hand."""
        fields: dict[str, Any] = {"plan": plan}
        if paid_for is not None:
            fields["paid_until"] = (START + timedelta(seconds=self.model.now + paid_for)).isoformat()
        self.both("assign_plan", user, fields, lambda _: self.model.assign(user, plan, paid_for), keep=("plan",))
        if by_hand:
            self.both("reset_allowance", user, {}, lambda _: self.model.reset(user))

    @precondition(lambda self: len(self.done) % 3 == 0)
    @rule(months=st.sampled_from([0, 0, 0, 1, 4]), before=st.sampled_from([0, 1, 60]))
    def month(self, months: int, before: int) -> None:
        """Time passes to the end of the month, or just before it, or of one to come."""
        ahead = [month for month in MONTHS if month > self.model.now + before]
        self.advance(int(ahead[months] - before - self.model.now))
