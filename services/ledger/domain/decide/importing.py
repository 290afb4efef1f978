"""What an account did before this ledger kept it: told as history, so that its journal is whole from the beginning."""

from __future__ import annotations

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.codec import format_time
from services.ledger.domain.decide.recorder import Decision, Recorder
from services.ledger.domain.rejections import Rejected, invalid


def import_operation(recorder: Recorder, command: cmd.ImportOperation) -> Decision:
    """Keep one operation of another system. It moves nothing and is refused by no state of the account.

    404 `unknown_action` for an action without an earning rule; 400 for a time that is still to come.
    """
    if command.occurred_at > recorder.now:
        raise invalid("occurred_at", "time_in_the_future", "What is imported has happened already.")
    rule = None if command.action is None else recorder.context.config.rules.get(command.action)
    if rule is None and command.action is not None:
        raise Rejected(404, "unknown_action", f"This app has no earning rule for '{command.action}'.")
    operation = recorder.context.ids.new("operation")
    recorder.open()
    recorder.record_main(
        ev.OperationImported(
            operation=operation,
            kind=command.kind,
            occurred_at=ev.Time(command.occurred_at),
            amount=ev.Units(command.amount),
            balance_after=None if command.balance_after is None else ev.Units(command.balance_after),
            earned_as=None if rule is None else rule.remembered_as,
        )
    )
    return Decision(
        201,
        {
            "id": operation,
            "kind": command.kind,
            "amount": recorder.amount(command.amount),
            "occurred_at": format_time(command.occurred_at),
        },
    )
