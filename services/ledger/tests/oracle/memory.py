"""The rules alone as a subject: `decide` on accounts in memory, with the least that keeps keys."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from typing import Any

from services.ledger.domain import commands as cmd
from services.ledger.domain.amounts import format_units, parse_positive, parse_signed
from services.ledger.domain.budgets import Budget
from services.ledger.domain.codec import parse_time
from services.ledger.domain.config import ConfigDocument, compile_config
from services.ledger.domain.decide import Outcome
from services.ledger.domain.decide.budgets import describe
from services.ledger.domain.pricing.exact import COUNT_PLACES, scaled
from services.ledger.domain.tests.book import APP, Book
from services.ledger.tests.oracle.subject import CONFIG, START, Item
from services.ledger.tests.oracle.tariff import CALLER

SCALE = 2
Fields = dict[str, Any]


def _amount(fields: Fields) -> int | None:
    return parse_positive(fields["amount"], SCALE) if "amount" in fields else None


def _due(fields: Fields, name: str) -> int | None:
    return parse_time(fields[name]) if name in fields else None


def _pick(fields: Fields, *names: str) -> Fields:
    return {name: fields[name] for name in names if name in fields}


def _usage(fields: Fields) -> dict[str, int] | None:
    given = fields.get("usage")
    return None if given is None else {unit: scaled(str(count), COUNT_PLACES) for unit, count in given.items()}


def _ask(fields: Fields) -> cmd.Ask | None:
    if "price" in fields:
        return cmd.Ask(price=fields["price"], usage={"quantity": scaled(fields["quantity"], COUNT_PLACES)})
    if "quote" in fields:
        return cmd.Ask(quote=fields["quote"])
    return cmd.Ask(model=fields["model"], usage=_usage(fields) or {}) if "model" in fields else None


def _grant(f: Fields) -> cmd.Command:
    return cmd.Grant(
        amount=parse_positive(f["amount"], SCALE),
        effective_at=_due(f, "effective_at"),
        expires_at=_due(f, "expires_at"),
        scope=tuple(f.get("scope", ())),
        **_pick(f, "source", "priority"),
    )


def _budget(given: Fields) -> Budget:
    limit = parse_signed(given["limit"], SCALE)
    return Budget(given["name"], given["period"], limit, given["hard"], given["member"], given["key"])


COMMANDS: dict[str, Callable[[Fields], cmd.Command]] = {
    "grant_credits": _grant,
    "revoke_grant": lambda f: cmd.Revoke(amount=_amount(f), **_pick(f, "grant", "policy", "hold")),
    "charge_credits": lambda f: cmd.Charge(amount=_amount(f), ask=_ask(f), **_pick(f, "service")),
    "refund_charge": lambda f: cmd.Refund(amount=_amount(f), **_pick(f, "charge")),
    "create_hold": lambda f: cmd.CreateHold(
        amount=_amount(f), ask=_ask(f), role="service", **_pick(f, "ttl_s", "service", "grant", "partial")
    ),
    "capture_hold": lambda f: cmd.CaptureHold(amount=_amount(f), usage=_usage(f), **_pick(f, "hold", "final")),
    "extend_hold": lambda f: cmd.ExtendHold(amount=_amount(f), usage=_usage(f), **_pick(f, "hold", "ttl_s", "partial")),
    "quote": lambda f: cmd.Quote(ask=_ask(f) or cmd.Ask()),
    "release_hold": lambda f: cmd.ReleaseHold(**_pick(f, "hold")),
    "adjust_balance": lambda f: cmd.Adjust(amount=parse_signed(f["amount"], SCALE)),
    "perform_action": lambda f: cmd.Act(**_pick(f, "action")),
    "freeze_account": lambda f: cmd.Freeze(name=f["unique_ref"]),
    "unfreeze_account": lambda f: cmd.Unfreeze(name=f["unique_ref"]),
    "assign_plan": lambda f: cmd.AssignPlan(plan=f.get("plan"), paid_until=_due(f, "paid_until")),
    "reset_allowance": lambda _: cmd.ResetAllowance(),
    "close_account": lambda _: cmd.Close(),
    "set_budgets": lambda f: cmd.SetBudgets(budgets=tuple(_budget(each) for each in f["budgets"])),
    "change_account": lambda f: cmd.ChangeAccount(overdraft_limit=parse_signed(f["overdraft"], SCALE)),
}


class MemorySubject:
    """A `Book` behind the wire's names. Every decision in it is checked against the laws of the domain's tests."""

    def __init__(self) -> None:
        config = compile_config(APP, 1, ConfigDocument.model_validate(CONFIG))
        self.book = Book(config, now=int(START.timestamp()) * 1_000_000)
        self._results: dict[tuple[str, str], tuple[str, Fields, int, Fields]] = {}

    def execute(self, command: str, fields: Fields, user: str, key: str) -> tuple[int, Fields]:
        """See `Subject.execute`."""
        if (user, key) in self._results:
            earlier, with_fields, status, body = self._results[user, key]
            if (earlier, with_fields) != (command, fields):
                return 422, {"code": "idempotency_key_reused"}
            return status, body
        if command == "transfer_credits":
            outcome = self.book.transfer(user, fields["to_user"], parse_positive(fields["amount"], SCALE))
        else:
            asked = COMMANDS[command](fields)
            asked.labels = cmd.Labels(member=fields.get("member"), caller=CALLER)
            outcome = self.book.do(user, asked)
        status, body = _answer(outcome)
        if status < 300 or status in (402, 404, 409):
            self._results[user, key] = (command, fields, status, body)
        return status, body

    def together(self, items: list[Item], user: str, *, atomic: bool) -> list[tuple[int, Fields]]:
        """See `Subject.together`: what was done before a refusal is undone."""
        before, known = deepcopy(self.book), dict(self._results)
        results = []
        for number, item in enumerate(items):
            status, body = self.execute(item.command, item.fields, user, item.key)
            if atomic and status >= 400:
                self.book, self._results = before, known
                return [(status, {**body, "index": number})]
            results.append((status, body))
        return results

    def state(self, user: str, service: str | None) -> Fields | None:
        """See `Subject.state`."""
        account = self.book.seen(user)
        if not account.version:
            return None
        amounts = {
            "settled": account.settled,
            "held": account.held,
            "owed": account.owed,
            "available": account.available(service),
        }
        lots = [
            {"remaining": format_units(lot.remaining, SCALE), "held": format_units(lot.pinned, SCALE)}
            for lot in account.lots.values()
        ]
        shown = {name: format_units(units, SCALE) for name, units in amounts.items()}
        budgets = describe(account, self.book.config.zone, self.book.now)
        return {**shown, "lots": lots, "budgets": budgets}

    def advance(self, seconds: int) -> None:
        """See `Subject.advance`."""
        self.book.advance(seconds)

    def close(self) -> None:
        """See `Subject.close`."""


def _answer(outcome: Outcome) -> tuple[int, Fields]:
    if outcome.rejected is None:
        return outcome.status, outcome.body
    return outcome.status, {"code": outcome.rejected.code, **outcome.rejected.extra}
