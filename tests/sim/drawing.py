"""Which commands callers and the sender send: drawn at random, about what has been made."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any, NamedTuple

from libs.events.contracts.base import Command
from libs.events.contracts.ledger import commands as sent
from services.ledger.handlers.commands import KINDS
from tests.sim.app import ZONE
from tests.sim.calendar import Calendar, next_month

_WEIGHTS = {
    "grant": 32,
    "charge": 25,
    "hold": 18,
    "transfer": 11,
    "quote": 7,
    "action": 8,
    "account.plan": 8,
    "account.budgets": 5,
    "adjustment": 4,
    "account.reset": 3,
    "account.freeze": 2,
    "account.unfreeze": 2,
    "operation.import": 2,
}
_MEMBERS = (None, None, "kim", "lee")
_DAY = sent.BudgetSetting(period="day", limit="60")
_BUDGETS = (
    (),
    (_DAY,),
    (_DAY, sent.BudgetSetting(member="*", period="lifetime", limit="20", hard=False)),
    (sent.BudgetSetting(period="month", limit="90"), sent.BudgetSetting(member="kim", period="week", limit="30")),
)
_TARGETED = (
    ("hold", "hold.capture"),
    ("hold", "hold.capture"),
    ("hold", "hold.release"),
    ("hold", "hold.extend"),
    ("charge", "charge.refund"),
    ("grant", "grant.revoke"),
)
_ANCHORS = (None, datetime(2026, 1, 31, 10, tzinfo=UTC), datetime(2025, 11, 29, 22, 59, 59, tzinfo=UTC))
_BY_KAFKA = {
    "grant": 30,
    "charge": 25,
    "hold": 15,
    "transfer": 10,
    "action": 6,
    "account.plan": 6,
    "account.budgets": 4,
    "account.reset": 2,
    "operation.import": 2,
}
SENDS = frozenset(contract.TYPE for contract in (KINDS[name].contract for name in _BY_KAFKA) if contract is not None)
"""What may come by Kafka."""


class Drawn(NamedTuple):
    """A kind of command, its fields, and what it is about where a path would say so."""

    name: str
    fields: sent.Body
    target: str


class Draw:
    """Draws commands on some users' accounts. `made` holds the ids that any caller has been told, by word."""

    def __init__(self, random: Random, calendar: Calendar, users: list[str], made: dict[str, list[str]]) -> None:
        self._random = random
        self._calendar = calendar
        self._users = users
        self._made = made

    def command(self, key: str, user: str | None = None) -> Drawn:
        """Any command; with a user, one on that account."""
        word, name = self._random.choice(_TARGETED)
        known = self._made.get(word)
        if user is None and known and self._random.random() < 0.4:
            return Drawn(name, self._about(name), self._random.choice(known[-6:]))
        name = self._one_of(_WEIGHTS)
        whose = user or self._random.choice(self._users)
        fields = self._fields(name, whose, key)
        if user is not None and isinstance(fields, sent.QuoteBody):
            # A quote of nobody lies on the app's own partition.
            fields = fields.model_copy(update={"user": user})
        return Drawn(name, fields, whose if name.startswith("account.") else "")

    def by_kafka(self, user: str, key: str) -> Command:
        """A command for the service that sends by Kafka."""
        name = self._one_of(_BY_KAFKA)
        kind, fields = KINDS[name], self._fields(name, user, key)
        given = {field: getattr(fields, field) for field in fields.model_fields_set}
        if kind.contract is None:
            raise TypeError(f"{name} does not come by Kafka")
        return kind.contract(**given, **({"user": user} if kind.id_field else {}))

    def _one_of(self, weights: dict[str, int]) -> str:
        return self._random.choices([*weights], [*weights.values()])[0]

    def _fields(self, name: str, user: str, key: str) -> sent.Body:
        make = _FIELDS.get(name)
        return KINDS[name].body() if make is None else make(self, user, key)

    def _amount(self) -> str:
        return str(self._random.randint(1, 60))

    def _unique(self) -> str | None:
        return self._random.choice((None, None, None, f"once-{self._random.randint(0, 3)}"))

    def _grant(self, user: str, _key: str) -> sent.Body:
        late = self._calendar.now() + timedelta(seconds=self._random.randint(1, 15))
        expires = self._random.choice((None, None, late))
        return sent.GrantCredits(user=user, amount=self._amount(), expires_at=expires, unique_ref=self._unique())

    def _charge(self, user: str, key: str) -> sent.Body:
        reference, member = self._random.choice((None, None, f"ref-{key}")), self._random.choice(_MEMBERS)
        unique, cost = self._unique(), self._cost(user)
        return sent.ChargeCredits(user=user, **cost, reference=reference, unique_ref=unique, member=member)

    def _hold(self, user: str, _key: str) -> sent.Body:
        ttl_s, partial = self._random.choice((1, 3, 20)), self._random.random() < 0.3
        cost, member = self._cost(user), self._random.choice(_MEMBERS)
        return sent.CreateHold(user=user, **cost, ttl_s=ttl_s, partial=partial, member=member)

    def _transfer(self, user: str, _key: str) -> sent.Body:
        other = self._random.choice([one for one in self._users if one != user])
        return sent.TransferCredits(from_user=user, to_user=other, amount=self._amount())

    def _quote(self, user: str, _key: str) -> sent.Body:
        asking, amount = self._random.choice((user, None)), int(self._amount())
        return sent.QuoteBody(user=asking, model="tiny", usage=sent.Usage(input=amount, output=amount))

    def _action(self, user: str, _key: str) -> sent.Body:
        return sent.PerformAction(user=user, action=self._random.choice(("hello", "rate", "share", "visit")))

    def _adjustment(self, user: str, _key: str) -> sent.Body:
        amount = self._amount()
        return sent.AdjustBalance(user=user, amount=self._random.choice((amount, f"-{amount}")), reason="trial")

    def _budgets(self, _user: str, _key: str) -> sent.Body:
        return sent.SetBudgetsBody(budgets=self._random.choice(_BUDGETS))

    def _import(self, user: str, _key: str) -> sent.Body:
        earlier = self._calendar.now() - timedelta(days=100)
        return sent.ImportOperation(user=user, kind="spent", occurred_at=earlier, amount=f"-{self._amount()}")

    def _plan(self, _user: str, _key: str) -> sent.Body:
        """A plan that is paid for always, for a moment, for a month or two, or not at all."""
        random = self._random
        month = next_month(self._calendar.now(), ZONE)
        paid_until = random.choice(
            (None, None, self._calendar.now() + timedelta(seconds=4), month, month + timedelta(days=40))
        )
        plan = random.choice(("free", "plus", "own", "own", "paid", None))
        anchor = None if plan in ("free", "plus", None) else random.choice(_ANCHORS)
        return sent.AssignPlanBody(plan=plan, anchor=anchor, paid_until=None if plan is None else paid_until)

    def _cost(self, user: str) -> dict[str, Any]:
        """What a charge or a hold takes: an amount, the price of an operation or of a model's use, or a quote."""
        amount = self._amount()
        quotes = self._made.get("quote", []) + self._made.get(f"quote{user}", [])
        way = self._random.choice(("amount", "amount", "price", "model", "quote"))
        if way == "price":
            return {"price": "text", "quantity": amount}
        if way == "model":
            return {"model": "tiny", "usage": sent.Usage(input=int(amount), output=3)}
        return {"quote": self._random.choice(quotes[-6:])} if way == "quote" and quotes else {"amount": amount}

    def _about(self, name: str) -> sent.Body:
        """The fields of a command about something that there is."""
        random = self._random
        body = KINDS[name].body
        given: dict[str, Any] = {}
        if random.random() < 0.5 and "amount" in body.model_fields:
            given["amount"] = str(random.randint(1, 60))
        if name == "hold.capture":
            given["final"] = random.random() < 0.7
        if name in ("hold.capture", "hold.extend") and "amount" not in given and random.random() < 0.3:
            given["usage"] = sent.Usage(input=random.randint(0, 60), output=random.randint(0, 60))
        if name == "hold.extend":
            given["ttl_s"] = random.randint(1, 20)
        return body(**given)


_FIELDS: dict[str, Callable[[Draw, str, str], sent.Body]] = {
    "grant": Draw._grant,
    "charge": Draw._charge,
    "hold": Draw._hold,
    "transfer": Draw._transfer,
    "quote": Draw._quote,
    "action": Draw._action,
    "adjustment": Draw._adjustment,
    "account.plan": Draw._plan,
    "account.budgets": Draw._budgets,
    "operation.import": Draw._import,
}
"""By the name of the command; what is not here has no fields."""
