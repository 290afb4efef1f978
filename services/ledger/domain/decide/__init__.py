"""`decide(account, command, context)`: what follows from a command, or a named rejection. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.decide import accounts, allowances, granting, importing, pricing, spending, transfers
from services.ledger.domain.decide.due import apply_due
from services.ledger.domain.decide.recorder import Context, Decision, Recorder
from services.ledger.domain.records import QuoteRecord, Resolution
from services.ledger.domain.rejections import Rejected
from services.ledger.domain.state import Account

__all__ = ["Context", "Outcome", "decide", "present"]

_RULES: dict[type, Callable[[Recorder, Any], Decision]] = {
    cmd.Grant: granting.grant,
    cmd.Revoke: granting.revoke,
    cmd.Charge: spending.charge,
    cmd.Refund: granting.refund,
    cmd.CreateHold: spending.create_hold,
    cmd.CaptureHold: spending.capture_hold,
    cmd.ExtendHold: spending.extend_hold,
    cmd.ReleaseHold: spending.release_hold,
    cmd.Transfer: transfers.debit,
    cmd.CreditTransfer: transfers.credit,
    cmd.ReturnTransfer: transfers.give_back,
    cmd.Adjust: granting.adjust,
    cmd.Act: granting.act,
    cmd.ImportOperation: importing.import_operation,
    cmd.Freeze: accounts.freeze,
    cmd.Unfreeze: accounts.unfreeze,
    cmd.Close: accounts.close,
    cmd.ChangeAccount: accounts.change,
    cmd.SetBudgets: accounts.set_budgets,
    cmd.Erase: accounts.erase,
    cmd.AssignPlan: allowances.assign,
    cmd.ResetAllowance: allowances.reset,
    cmd.Quote: pricing.quote,
}


_SPENDING = (cmd.Charge, cmd.CreateHold, cmd.Transfer, cmd.Adjust)
"""What may be done with the credits that an account opens with."""


@dataclass(slots=True)
class Outcome:
    """What a command came to. `due` events happened whatever became of the command; `events` are its own.

    `account` is the account after all of them. `rejected` is set when the command was refused; then `events` is
    empty and `body` too. `quote` is to be remembered with it.
    """

    account: Account
    due: list[ev.AccountEvent]
    events: list[ev.AccountEvent]
    status: int
    body: dict[str, Any]
    rejected: Rejected | None = None
    quote: QuoteRecord | None = None


def balances(recorder: Recorder, service: str | None) -> dict[str, str]:
    """The account as an answer shows it; `available` counts lots scoped to `service` if one is named."""
    account = recorder.account
    return {
        "settled": recorder.amount(account.settled),
        "held": recorder.amount(account.held),
        "owed": recorder.amount(account.owed),
        "available": recorder.amount(account.available(service)),
    }


def present(account: Account, context: Context) -> tuple[Account, list[ev.AccountEvent]]:
    """The account as it is at the context's time, and the events that say so; a read drops these events."""
    if account.due_at is None or account.due_at > context.now:
        return account, []
    recorder = Recorder(account, context)
    apply_due(recorder)
    return recorder.account, recorder.events


def _knowing(due: list[ev.AccountEvent], command: cmd.Command, context: Context) -> Context:
    """The context with how the command's hold ended, if its limit was found to be past only now."""
    hold = getattr(command, "hold", None)
    for event in due:
        if isinstance(event, ev.HoldExpired) and event.hold == hold:
            resolution = Resolution("expired", event.captured_total, event.at)
            return replace(context, loaded=replace(context.loaded, resolution=resolution))
    return context


def decide(account: Account, command: cmd.Command, context: Context) -> Outcome:
    """Decide one command on one account, after what is due on it.

    A refusal keeps what was due and nothing of the command. The account given is left as it is.
    """
    account, due = present(account, context)
    if isinstance(command, cmd.Sweep):
        reset = any(isinstance(event, ev.AllowanceReset) for event in due)
        return Outcome(account, due, [], 200, {"reset": True} if reset else {})
    if due:
        context = _knowing(due, command, context)
    recorder = Recorder(account, context, command.labels)
    if not account.version and isinstance(command, _SPENDING) and account.profile.asset in context.config.default_plans:
        recorder.open()
    try:
        decision = _RULES[type(command)](recorder, command)
    except Rejected as rejected:
        return Outcome(account, due, [], rejected.status, {}, rejected)
    recorder.finish()
    body = decision.body
    for name, value in balances(recorder, getattr(command, "service", None)).items():
        body.setdefault(name, value)
    return Outcome(recorder.account, due, recorder.events, decision.status, body, quote=decision.quote)
