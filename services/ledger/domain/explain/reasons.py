"""A code and a plain sentence for everything that can happen to an account."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from services.ledger.domain import events as ev
from services.ledger.domain.amounts import format_units
from services.ledger.domain.codec import TYPE_NAMES, format_time
from services.ledger.domain.explain.flows import Debt
from services.ledger.domain.explain.reason import Reason

Say = Callable[[int], str]
"""An amount of units as text."""


def _granted(e: ev.CreditsGranted, say: Say) -> Reason:
    if e.action is not None:
        return Reason("earned", f"{say(e.lot.amount)} were earned by the action '{e.action}'.")
    start = f", to be spent from {format_time(e.lot.effective_at)} on" if e.lot.scheduled else ""
    return Reason("granted", f"{say(e.lot.amount)} were granted from the source '{e.lot.source}'{start}.")


def _revoked(e: ev.GrantRevoked, say: Say) -> Reason:
    parts = [f"{say(e.taken)} were taken"]
    if e.pending:
        parts.append(f"{say(e.pending)} follow when their hold releases them")
    if e.debt:
        parts.append(f"{say(e.debt)} had been spent and are owed")
    if e.absorbed:
        parts.append(f"{say(e.absorbed)} were gone and are let go")
    return Reason("revoked", f"{say(e.amount)} of a grant were revoked: {', '.join(parts)}.")


def _charged(e: ev.CreditsCharged, say: Say) -> Reason:
    beyond = f", {say(e.overdraft)} of them from the overdraft" if e.overdraft else ""
    return Reason("charged", f"{say(e.amount)} were charged{_for(e.service)}{beyond}.")


def _for(service: str | None) -> str:
    return "" if service is None else f" for the service '{service}'"


def _refunded(e: ev.ChargeRefunded, say: Say) -> Reason:
    owed = f", {say(e.owed)} of them as less owed" if e.owed else ""
    return Reason("refunded", f"{say(e.amount)} of a charge were given back{owed}.")


def _held(e: ev.HoldCreated, say: Say) -> Reason:
    return Reason("held", f"{say(e.amount)} were set aside{_for(e.service)} until {format_time(e.expires_at)}.")


def _extended(e: ev.HoldExtended, say: Say) -> Reason:
    more = f", and {say(e.amount)} more were set aside for it" if e.amount else ""
    return Reason("hold_extended", f"A hold was extended to {format_time(e.expires_at)}{more}.")


def _captured(e: ev.HoldCaptured, say: Say) -> Reason:
    parts = []
    if e.excess:
        parts.append(f"{say(sum(s.amount for s in e.excess))} from the free balance")
    if e.overdraft:
        parts.append(f"{say(e.overdraft)} from the overdraft")
    if e.shortfall:
        parts.append(f"{say(e.shortfall)} that nothing covered and are owed")
    beyond = f", and beyond it {', '.join(parts)}" if parts else ""
    return Reason("captured", f"{say(e.amount)} were charged out of a hold{beyond}.")


def _released(e: ev.HoldReleased, say: Say) -> Reason:
    if e.cause == "revoked":
        return Reason("hold_revoked", f"A hold of {say(e.amount)} ended, because its grant was revoked.")
    return Reason("hold_released", f"A hold let {say(e.amount)} go.")


def _hold_expired(e: ev.HoldExpired, say: Say) -> Reason:
    return Reason("hold_expired", f"A hold of {say(e.amount)} reached its limit at {format_time(e.due_at)}.")


def _expired(e: ev.LotExpired, say: Say) -> Reason:
    return Reason("expired", f"{say(e.amount)} were not spent by {format_time(e.due_at)} and expired.")


def _owed(e: ev.OwedRecorded, say: Say) -> Reason:
    return Reason("owed", f"{say(e.amount)} could not be taken and are owed because of {e.cause}.")


def _repaid(e: ev.OwedRepaid, say: Say) -> Reason:
    return Reason("owed_repaid", f"{say(e.amount)} that came in repaid what was owed.")


def _changed(e: ev.AccountChanged, say: Say) -> Reason:
    if e.started is not None:
        return Reason("started", f"{say(e.started.amount)} that were granted for later can be spent now.")
    if e.erased:
        return Reason("erased", "The free texts of the account were erased.")
    return Reason("settings_changed", "Settings of the account were changed.")


def _transferred(e: ev.TransferDebited, say: Say) -> Reason:
    return Reason("transferred", f"{say(e.amount)} were sent to {e.to_user}.")


def _received(e: ev.TransferCredited, say: Say) -> Reason:
    return Reason("received", f"{say(e.amount)} came from {e.from_user}.")


def _transfer_returned(e: ev.TransferReturned, say: Say) -> Reason:
    return Reason("transfer_returned", f"{say(e.amount)} came back: {e.to_user} could not have them ({e.refusal}).")


def _adjusted(e: ev.BalanceAdjusted, say: Say) -> Reason:
    way = "added" if e.amount > 0 else "taken away"
    return Reason("adjusted", f"{say(abs(e.amount))} were {way} by hand.")


def _crossed(e: ev.ThresholdCrossed, say: Say) -> Reason:
    return Reason("threshold_crossed", f"What is available fell below {say(e.threshold)}.")


def _exceeded(e: ev.BudgetExceeded, say: Say) -> Reason:
    sentence = f"{say(e.used)} of the {say(e.limit)} that the budget '{e.budget}' allows were used."
    return Reason("budget_exceeded", sentence)


def _assigned(e: ev.PlanAssigned, say: Say) -> Reason:
    if e.plan is None:
        return Reason("plan_ended", "The plan was ended: what is left of its allowance lasts to the end of the period.")
    parts = [] if e.lot is None else [f"{say(e.lot.amount)} were added"]
    if e.ended:
        parts.append(f"{say(sum(s.amount for s in e.ended))} of the allowance before were taken away")
    unpaid = " It is not paid for." if e.lapsed else ""
    told = f": {' and '.join(parts)}" if parts else ""
    return Reason("plan_assigned", f"The account got the plan '{e.plan}'{told}.{unpaid}")


def _reset(e: ev.AllowanceReset, say: Say) -> Reason:
    if e.lot is None:
        why = "was not paid for" if e.cause == "unpaid" else "is none of the app any more"
        return Reason("allowance_lapsed", f"The allowance ended, because the plan '{e.plan}' {why}.")
    carried = f", {say(e.carried)} of them carried over" if e.carried else ""
    hand = " by hand" if e.cause == "by_hand" else ""
    return Reason(
        "allowance_reset", f"The allowance of the plan '{e.plan}' was reset{hand}: {say(e.lot.amount)}{carried}."
    )


_RULES: dict[type, Callable[[Any, Say], Reason]] = {
    ev.AccountOpened: lambda _e, _say: Reason("opened", "The account was opened."),
    ev.CreditsGranted: _granted,
    ev.GrantRevoked: _revoked,
    ev.CreditsCharged: _charged,
    ev.ChargeRefunded: _refunded,
    ev.HoldCreated: _held,
    ev.HoldExtended: _extended,
    ev.HoldCaptured: _captured,
    ev.HoldReleased: _released,
    ev.HoldExpired: _hold_expired,
    ev.LotExpired: _expired,
    ev.PlanAssigned: _assigned,
    ev.AllowanceReset: _reset,
    ev.OwedRecorded: _owed,
    ev.OwedRepaid: _repaid,
    ev.AccountChanged: _changed,
    ev.TransferDebited: _transferred,
    ev.TransferCredited: _received,
    ev.TransferReturned: _transfer_returned,
    ev.BalanceAdjusted: _adjusted,
    ev.AccountFrozen: lambda e, _say: Reason("frozen", f"The account was frozen under the name '{e.name}'."),
    ev.AccountUnfrozen: lambda e, _say: Reason("unfrozen", f"The freeze '{e.name}' was lifted."),
    ev.AccountClosed: lambda _e, _say: Reason("closed", "The account was closed."),
    ev.ThresholdCrossed: _crossed,
    ev.BudgetSet: lambda _e, _say: Reason("budget_set", "The budgets of the account were set."),
    ev.BudgetExceeded: _exceeded,
}


def reason_of(event: ev.AccountEvent, scale: int) -> Reason:
    """Why the account is another after the event, with amounts of an asset of `scale` decimals."""
    rule = _RULES.get(type(event))
    if rule is not None:
        return rule(event, lambda amount: format_units(amount, scale))
    name = TYPE_NAMES[type(event)].split(".")[1]
    return Reason(name, f"{name.replace('_', ' ').capitalize()}.")


ORIGINS = {
    "refund": Reason("refunded", "It was given back of a charge whose own lot had ended."),
    "transfer": Reason("received", "It came by a transfer."),
    "transfer_returned": Reason("transfer_returned", "It came back from a transfer that was refused."),
    "adjustment": Reason("adjusted", "It was added by hand."),
}
"""Why a lot is there, by the kind of its origin, where the event that made it was not looked at."""
GRANTED = Reason("granted", "It was granted.")

_DEBTS = {
    "capture_shortfall": "A capture took more than there was: {cause}.",
    "revoked_grant_captured": "A capture took credits that a revoke was waiting for: {cause}.",
    "grant_revoked": "A grant was revoked after it had been spent: {cause}.",
    "before": "It was owed before the first event that is added up here.",
}


def debt_reason(debt: Debt) -> Reason:
    """Why something is owed."""
    return Reason(debt.why, _DEBTS[debt.why].format(cause=debt.cause))
