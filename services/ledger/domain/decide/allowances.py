"""Plans: assigning one, and the allowance's return, when it is due and by hand."""

from __future__ import annotations

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.allowances import Plan, ended_slices, free_of, lot_id, lot_of, own_lots, shown
from services.ledger.domain.config import AppConfig
from services.ledger.domain.decide.recorder import Decision, Recorder
from services.ledger.domain.decide.spending import require_open
from services.ledger.domain.rejections import Rejected, conflict
from services.ledger.domain.state import Allowance


def _make(recorder: Recorder, plan: Plan, grant: str, amount: int, span: tuple[int, int]) -> ev.NewLot | None:
    if not amount:
        return None
    return lot_of(plan, grant, amount, span, recorder.repaid_overdraft(amount))


def _repay(recorder: Recorder, lot: ev.NewLot | None) -> None:
    if lot is not None:
        recorder.repay([lot.grant])


# When it is due


def renew(recorder: Recorder) -> None:
    """The allowance returns, once, for the latest period that has begun; those that went by unseen are only counted.

    Each period is looked at under the configuration that was in force when it began. The first that was not paid for,
    or whose plan the app no longer had, ends the allowance.
    """
    account = recorder.account
    allowance = account.allowance
    if allowance is None or allowance.plan is None:
        return
    due, rest, skipped = allowance.period_end, free_of(account), 0
    while True:
        config = recorder.context.config.at(due)
        plan = config.plan(allowance.plan, account.profile.asset)
        if plan is None or not plan.paid(allowance.paid_until, due):
            _lapse(recorder, config, due, skipped, "no_plan" if plan is None else "unpaid")
            return
        carried = plan.carry(rest)
        end = plan.month(config.zone, allowance.anchor, due)[1]
        if end > recorder.now:
            break
        due, rest, skipped = end, plan.limit + carried, skipped + 1
    profile = account.profile
    grant = lot_id(recorder.context.ids, due, (profile.app, profile.user, profile.asset))
    lot = _make(recorder, plan, grant, plan.limit + carried, (due, end))
    recorder.record(
        ev.AllowanceReset(
            plan=plan.name,
            limit=ev.Units(plan.limit),
            carried=ev.Units(carried),
            lot=lot,
            ended=ended_slices(account),
            period_start=ev.Time(due),
            period_end=ev.Time(end),
            due_at=ev.Time(due),
            skipped=skipped,
            skipped_from=ev.Time(allowance.period_end) if skipped else None,
        ),
        config,
    )
    _repay(recorder, lot)


def _lapse(recorder: Recorder, config: AppConfig, due: int, skipped: int, cause: ev.ResetCause) -> None:
    account = recorder.account
    allowance = account.allowance
    if allowance is None or allowance.plan is None:
        return
    recorder.record(
        ev.AllowanceReset(
            plan=allowance.plan,
            cause=cause,
            ended=ended_slices(account),
            period_start=ev.Time(allowance.period_start),
            period_end=ev.Time(allowance.period_end),
            due_at=ev.Time(due),
            skipped=skipped,
            skipped_from=ev.Time(allowance.period_end) if skipped else None,
        ),
        config,
    )


# Commands


def assign(recorder: Recorder, command: cmd.AssignPlan) -> Decision:
    """Give an account a plan, or none. 404 `plan_not_found`.

    In the same period a greater plan adds the difference at once and a smaller one takes it from what is free, so that
    changing to and fro gives nothing. Where the plan's period is another, it begins now, with the full limit, and what
    is left of the allowance before is lost. The same plan once more changes its dates only.
    """
    account = recorder.account
    require_open(account)
    if command.plan is None:
        recorder.open(with_plan=False)
        if account.allowance is not None and account.allowance.plan is not None:
            recorder.record_main(ev.PlanAssigned())
        return Decision(200, describe_plan(recorder))
    plan = recorder.context.config.plan(command.plan, account.profile.asset)
    if plan is None:
        raise Rejected(404, "plan_not_found", f"This app has no plan '{command.plan}' for this asset.")
    recorder.open(with_plan=False)
    event = _assigned(recorder, plan, command)
    if event is not None:
        recorder.record_main(event)
        _repay(recorder, event.lot)
    return Decision(200, describe_plan(recorder))


def _assigned(recorder: Recorder, plan: Plan, command: cmd.AssignPlan) -> ev.PlanAssigned | None:
    """What follows from a plan; None where the account has it already, with these dates."""
    account, now = recorder.account, recorder.now
    before = account.allowance
    under_way = before if before is not None and now < before.period_end else None
    anchor = command.anchor
    if anchor is None and plan.period == "anniversary":
        anchor = now if before is None or before.anchor is None else before.anchor
    event = ev.PlanAssigned(
        plan=plan.name,
        limit=ev.Units(plan.limit),
        anchor=None if anchor is None else ev.Time(anchor),
        paid_until=None if command.paid_until is None else ev.Time(command.paid_until),
    )
    paid = plan.paid(command.paid_until, now)
    if under_way is not None and _goes_on(under_way, plan, anchor):
        if (under_way.paid_until, under_way.anchor) == (command.paid_until, anchor):
            return None
        event.limit = ev.Units(under_way.limit)
        event.period_start, event.period_end = ev.Time(under_way.period_start), ev.Time(under_way.period_end)
        return event
    span = plan.month(recorder.context.config.zone, anchor, now)
    event.period_start, event.period_end = ev.Time(span[0]), ev.Time(span[1])
    if under_way is None or under_way.period_end != span[1]:
        event.renewed, event.lapsed = True, not paid
        event.ended = ended_slices(account)
        amount = plan.limit if paid else 0
    else:
        event.lapsed = under_way.lapsed and not paid
        # What was spent or is held of this period's allowance stays so; what was taken back was never given.
        free = free_of(account)
        amount = max(0, plan.limit + under_way.carried - (under_way.given - free)) - free
        if amount < 0:
            event.ended = _from_the_last(recorder, -amount)
        amount = max(0, amount) if paid else 0
    event.lot = _make(recorder, plan, recorder.context.ids.new("grant"), amount, (now, span[1])) if amount else None
    return event


def _goes_on(under_way: Allowance, plan: Plan, anchor: int | None) -> bool:
    """Whether a plan is the one that the account has, in the period that it is in."""
    return under_way.plan == plan.name and not under_way.lapsed and under_way.anchor == anchor


def _from_the_last(recorder: Recorder, amount: int) -> tuple[ev.SliceOf, ...]:
    """Slices of the allowance's free part up to an amount, from the lot that would be spent last."""
    slices = []
    for lot in sorted(own_lots(recorder.account), key=lambda lot: lot.terms.burn_key, reverse=True):
        part = min(lot.free, amount)
        amount -= part
        if part:
            slices.append(ev.SliceOf(lot.terms.id, ev.Units(part)))
    return tuple(slices)


def reset(recorder: Recorder, _command: cmd.ResetAllowance) -> Decision:
    """Restore the allowance to its limit now; when it returns by itself stays as it was. 409 `no_allowance`."""
    account = recorder.account
    require_open(account)
    allowance = account.allowance
    if allowance is None or allowance.plan is None or allowance.lapsed:
        raise conflict("no_allowance", "The account has no allowance that could be reset.")
    plan = recorder.context.config.plan(allowance.plan, account.profile.asset)
    if plan is None:
        raise conflict("no_allowance", f"The app no longer has the plan '{allowance.plan}'.")
    grant, span = recorder.context.ids.new("grant"), (recorder.now, allowance.period_end)
    lot = _make(recorder, plan, grant, plan.limit, span)
    recorder.record_main(
        ev.AllowanceReset(
            plan=plan.name,
            cause="by_hand",
            limit=ev.Units(plan.limit),
            lot=lot,
            ended=ended_slices(account),
            period_start=ev.Time(allowance.period_start),
            period_end=ev.Time(allowance.period_end),
        )
    )
    _repay(recorder, lot)
    return Decision(200, describe_plan(recorder))


def describe_plan(recorder: Recorder) -> dict[str, object]:
    """An account's plan as the answer to whatever changed it."""
    account = recorder.account
    return {
        "id": account.profile.user,
        "user": account.profile.user,
        **shown(account),
    }
