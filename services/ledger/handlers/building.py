"""From the fields of a command to the domain's command, once the scale of its asset is known."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from libs.events.contracts.ledger import commands as sent
from libs.service.clock import from_datetime
from services.ledger.domain import commands as cmd
from services.ledger.domain.amounts import AmountError, parse_positive, parse_signed
from services.ledger.domain.budgets import Budget
from services.ledger.domain.pricing.exact import COUNT_PLACES, scaled
from services.ledger.domain.rejections import Rejected, invalid
from services.ledger.domain.state import CostBasis, Threshold

MANUAL_FREEZE = "manual"


def _positive(value: str | int, scale: int, field: str = "amount") -> int:
    try:
        return parse_positive(value, scale)
    except AmountError as error:
        raise invalid(field, error.code, error.detail) from None


def _signed(value: str | int, scale: int, field: str) -> int:
    try:
        return parse_signed(value, scale)
    except AmountError as error:
        raise invalid(field, error.code, error.detail) from None


def _optional(value: str | int | None, scale: int) -> int | None:
    return None if value is None else _positive(value, scale)


def _usage(given: sent.Usage | None) -> dict[str, int] | None:
    """What was counted, in millionths."""
    if given is None:
        return None
    return {unit: scaled(str(count), COUNT_PLACES) for unit, count in given if count is not None}


def _spending(body: sent.ChargeCredits | sent.CreateHold, scale: int) -> tuple[int | None, cmd.Ask | None]:
    """The amount of a command, or what it asks the price of; 400 unless it is one of them."""
    if body.amount is not None:
        for name in ("price", "quantity", "model", "usage", "quote"):
            if getattr(body, name) is not None:
                raise _together("amount", name)
        return _positive(body.amount, scale), None
    return None, _ask(body, body.quote)


def _ask(body: sent.ChargeCredits | sent.CreateHold | sent.QuoteBody, quote: str | None = None) -> cmd.Ask:
    price, model = body.price, body.model
    given = [name for name, value in (("price", price), ("model", model), ("quote", quote)) if value is not None]
    if not given:
        detail = "What it costs is said by an amount, a price, a model or a quote."
        raise invalid("price" if isinstance(body, sent.QuoteBody) else "amount", "missing_field", detail)
    if len(given) > 1:
        raise _together(*given[:2])
    if body.quantity is not None and price is None:
        raise _together(given[0], "quantity")
    if body.usage is not None and model is None:
        raise _together(given[0], "usage")
    if quote is not None:
        return cmd.Ask(quote=quote)
    if price is not None:
        quantity = scaled("1" if body.quantity is None else str(body.quantity), COUNT_PLACES)
        if not quantity:
            raise invalid("quantity", "quantity_not_positive", "A quantity is more than zero.")
        return cmd.Ask(price=price, usage={"quantity": quantity})
    usage = _usage(body.usage)
    if usage is None:
        raise invalid("usage", "missing_field", "What a model costs follows from its usage.")
    return cmd.Ask(model=model, usage=usage)


def _together(one: str, other: str) -> Rejected:
    return invalid(other, "not_together", f"'{one}' and '{other}' do not go together.")


def _time_us(value: datetime | None) -> int | None:
    return None if value is None else from_datetime(value)


def grant(body: sent.GrantCredits, _target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """A grant."""
    basis = body.cost_basis
    return cmd.Grant(
        labels=labels,
        amount=_positive(body.amount, scale),
        source=body.source,
        priority=body.priority,
        effective_at=_time_us(body.effective_at),
        expires_at=_time_us(body.expires_at),
        scope=body.scope,
        cost_basis=None if basis is None else CostBasis(basis.amount_minor, basis.currency),
    )


def revoke(body: sent.RevokeGrantBody, target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """A revoke of the grant `target`."""
    return cmd.Revoke(
        labels=labels, grant=target, amount=_optional(body.amount, scale), policy=body.policy, hold=body.hold
    )


def charge(body: sent.ChargeCredits, _target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """A charge."""
    amount, ask = _spending(body, scale)
    return cmd.Charge(labels=labels, amount=amount, ask=ask, service=body.service)


def refund(body: sent.RefundChargeBody, target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """A refund of the charge `target`."""
    return cmd.Refund(labels=labels, charge=target, amount=_optional(body.amount, scale))


def create_hold(body: sent.CreateHold, _target: str, role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """A hold; the caller's role decides how long it may last."""
    amount, ask = _spending(body, scale)
    return cmd.CreateHold(
        labels=labels,
        amount=amount,
        ask=ask,
        role=role,
        ttl_s=body.ttl_s,
        service=body.service,
        grant=body.grant,
        partial=body.partial,
    )


def capture_hold(body: sent.CaptureHoldBody, target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """A capture of the hold `target`."""
    if body.amount is not None and body.usage is not None:
        raise _together("amount", "usage")
    amount = _optional(body.amount, scale)
    return cmd.CaptureHold(labels=labels, hold=target, amount=amount, usage=_usage(body.usage), final=body.final)


def extend_hold(body: sent.ExtendHoldBody, target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """A later end of the hold `target`, or more that it pins."""
    if body.amount is not None and body.usage is not None:
        raise _together("amount", "usage")
    if body.ttl_s is None and body.amount is None and body.usage is None:
        raise invalid("ttl_s", "missing_field", "A hold is extended by a time, an amount or a usage.")
    return cmd.ExtendHold(
        labels=labels,
        hold=target,
        ttl_s=body.ttl_s,
        amount=_optional(body.amount, scale),
        usage=_usage(body.usage),
        partial=body.partial,
    )


def release_hold(_body: sent.Body, target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """The end of the hold `target`."""
    return cmd.ReleaseHold(labels=labels, hold=target)


def transfer(body: sent.TransferCredits, _target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """The debit of a transfer."""
    return cmd.Transfer(labels=labels, to_user=body.to_user, amount=_positive(body.amount, scale))


def adjust(body: sent.AdjustBalance, _target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """An adjustment, up or down."""
    amount = _signed(body.amount, scale, "amount")
    if not amount:
        raise invalid("amount", "amount_zero", "An adjustment by nothing changes nothing.")
    return cmd.Adjust(labels=labels, amount=amount)


def act(body: sent.PerformAction, _target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """An action that earns."""
    return cmd.Act(labels=labels, action=body.action)


def import_operation(
    body: sent.ImportOperation, _target: str, _role: str, scale: int, labels: cmd.Labels
) -> cmd.Command:
    """An operation of another system."""
    after = body.balance_after
    return cmd.ImportOperation(
        labels=labels,
        kind=body.kind,
        occurred_at=from_datetime(body.occurred_at),
        amount=_signed(body.amount, scale, "amount"),
        balance_after=None if after is None else _signed(after, scale, "balance_after"),
        action=body.action,
    )


def freeze(body: sent.Body, _target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """A freeze, named by the command's `unique_ref`."""
    return cmd.Freeze(labels=labels, name=body.unique_ref or MANUAL_FREEZE)


def unfreeze(body: sent.Body, _target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """The end of the freeze that `unique_ref` names."""
    return cmd.Unfreeze(labels=labels, name=body.unique_ref or MANUAL_FREEZE)


def quote(body: sent.QuoteBody, _target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """A quote."""
    return cmd.Quote(labels=labels, ask=_ask(body), service=body.service)


def close(_body: sent.Body, _target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """The end of an account."""
    return cmd.Close(labels=labels)


def erase(_body: sent.Body, _target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """The erasure of a user's free texts."""
    return cmd.Erase(labels=labels)


def change(body: sent.ChangeAccountBody, _target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """Settings of an account; what is not given stays."""
    overdraft = None if body.overdraft is None else _signed(body.overdraft, scale, "overdraft")
    if overdraft is not None and overdraft < 0:
        raise invalid("overdraft", "amount_negative", "An overdraft is zero or more.")
    thresholds = None if body.thresholds is None else _thresholds(body.thresholds, scale)
    return cmd.ChangeAccount(
        labels=labels,
        zone=body.zone,
        overdraft_limit=overdraft,
        thresholds=thresholds,
        price_list=body.price_list,
    )


def assign_plan(body: sent.AssignPlanBody, _target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """A plan, or the end of one."""
    anchor, paid_until = _time_us(body.anchor), _time_us(body.paid_until)
    return cmd.AssignPlan(labels=labels, plan=body.plan, anchor=anchor, paid_until=paid_until)


def reset_allowance(_body: sent.Body, _target: str, _role: str, _scale: int, labels: cmd.Labels) -> cmd.Command:
    """The allowance restored by hand."""
    return cmd.ResetAllowance(labels=labels)


def set_thresholds(body: sent.ThresholdsBody, _target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """The account's own thresholds, all of them."""
    return cmd.ChangeAccount(labels=labels, thresholds=_thresholds(body.thresholds, scale))


def set_budgets(body: sent.SetBudgetsBody, _target: str, _role: str, scale: int, labels: cmd.Labels) -> cmd.Command:
    """The account's budgets, all of them; each name is there once."""
    found: dict[str, Budget] = {}
    for number, each in enumerate(body.budgets):
        place = f"budgets.{number}"
        if each.member is not None and each.key is not None:
            raise invalid(f"{place}.key", "member_and_key", "A budget counts a member or a key, not both.")
        limit = _signed(each.limit, scale, f"{place}.limit")
        if limit < 0:
            raise invalid(f"{place}.limit", "amount_negative", "A limit is zero or more.")
        name = each.name or _budget_name(each)
        if name in found:
            raise invalid(f"{place}.name", "repeated_budget", f"There is a budget '{name}' already; give it a name.")
        found[name] = Budget(name, each.period, limit, each.hard, each.member, each.key)
    return cmd.SetBudgets(labels=labels, budgets=tuple(found.values()))


def _budget_name(given: sent.BudgetSetting) -> str:
    if given.member is not None:
        return f"member:{given.member}:{given.period}"
    return given.period if given.key is None else f"key:{given.key}:{given.period}"


def _thresholds(given: Any, scale: int) -> tuple[Threshold, ...]:
    found: dict[int | str, Threshold] = {}
    for number, each in enumerate(given):
        place = f"thresholds.{number}"
        if each.below_percent is not None:
            _percent(found, place, each.below_percent, each.rearm_percent)
            continue
        level = _signed(each.below, scale, f"{place}.below")
        rearm_at = level if each.rearm_at is None else _signed(each.rearm_at, scale, f"{place}.rearm_at")
        if rearm_at < level:
            raise invalid(f"{place}.rearm_at", "rearm_below_level", "A threshold is armed again at or above its level.")
        if level in found:
            raise invalid(f"{place}.below", "repeated_threshold", "This level is there already.")
        found[level] = Threshold(level, rearm_at)
    return tuple(found.values())


def _percent(found: dict[int | str, Threshold], place: str, percent: int, rearm: int | None) -> None:
    if rearm is not None and rearm < percent:
        detail = "A threshold is armed again at or above its level."
        raise invalid(f"{place}.rearm_percent", "rearm_below_level", detail)
    if f"{percent} %" in found:
        raise invalid(f"{place}.below_percent", "repeated_threshold", "This level is there already.")
    found[f"{percent} %"] = Threshold(0, 0, percent, rearm)
