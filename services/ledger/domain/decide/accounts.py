"""What is set about an account: settings, freezes, its end, the erasure of its texts."""

from __future__ import annotations

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.allowances import threshold_shown
from services.ledger.domain.budgets import Budget
from services.ledger.domain.decide import budgets
from services.ledger.domain.decide.recorder import Decision, Recorder
from services.ledger.domain.decide.spending import require_open
from services.ledger.domain.rejections import conflict, not_found

FREEZES_MAX = 100


def change(recorder: Recorder, command: cmd.ChangeAccount) -> Decision:
    """Open the account if need be, and set what is given; what is already so is not recorded again."""
    require_open(recorder.account)
    recorder.open()
    profile = recorder.account.profile
    event = ev.AccountChanged()
    if command.zone != profile.zone:
        event.zone = command.zone
    if command.overdraft_limit is not None and command.overdraft_limit != profile.overdraft_limit:
        event.overdraft_limit = ev.Units(command.overdraft_limit)
    if command.thresholds is not None and command.thresholds != profile.thresholds:
        event.thresholds = tuple(
            ev.ThresholdOf(ev.Units(t.level), ev.Units(t.rearm_at), t.percent, t.rearm_percent)
            for t in command.thresholds
        )
    if command.price_list is not None and command.price_list != (profile.price_list or ""):
        if command.price_list and command.price_list not in recorder.context.config.book.lists:
            raise not_found("price_list")
        event.price_list = command.price_list
    if event != ev.AccountChanged():
        recorder.record_main(event)
    return Decision(200, describe(recorder))


def describe(recorder: Recorder) -> dict[str, object]:
    """An account's settings as the answer to whatever changed them."""
    profile = recorder.account.profile
    return {
        "id": profile.user,
        "user": profile.user,
        "status": "closed" if profile.closed_at is not None else "frozen" if profile.frozen else "open",
        "zone": profile.zone,
        "overdraft": recorder.amount(profile.overdraft_limit),
        "freezes": list(profile.frozen),
        "price_list": profile.price_list,
        "thresholds": [threshold_shown(t, profile.scale) for t in profile.thresholds],
    }


def set_budgets(recorder: Recorder, command: cmd.SetBudgets) -> Decision:
    """Open the account if need be, and put these budgets in the place of its own; 409 `too_many_budgets`.

    One that counts as another of its name did (the same period, of the same member or key) keeps what is counted.
    """
    require_open(recorder.account)
    limit = recorder.context.config.document.policies.budgets_max
    if len(command.budgets) > limit:
        detail = f"An account of this app has at most {limit} budgets."
        raise conflict("too_many_budgets", detail, {"budgets": len(command.budgets), "limit": limit})
    recorder.open()
    present = () if recorder.account.budgets is None else recorder.account.budgets.budgets
    if _told(command.budgets) != _told(present):
        recorder.record_main(ev.BudgetSet(budgets=_told(command.budgets)))
    profile = recorder.account.profile
    shown = budgets.describe(recorder.account, recorder.context.config.zone, recorder.now)
    return Decision(200, {"id": profile.user, "user": profile.user, "budgets": shown})


def _told(those: tuple[Budget, ...]) -> tuple[ev.BudgetOf, ...]:
    return tuple(ev.BudgetOf(b.name, b.period, ev.Units(b.limit), b.hard, b.member, b.key) for b in those)


def freeze(recorder: Recorder, command: cmd.Freeze) -> Decision:
    """Add a named freeze; charges, new holds and transfers out are refused while any stands."""
    require_open(recorder.account)
    frozen = recorder.account.profile.frozen
    if len(frozen) >= FREEZES_MAX and command.name not in frozen:
        raise conflict("too_many_freezes", f"An account has at most {FREEZES_MAX} freezes at once.")
    recorder.open()
    if command.name not in frozen:
        recorder.record_main(ev.AccountFrozen(name=command.name))
    return Decision(200, describe(recorder))


def unfreeze(recorder: Recorder, command: cmd.Unfreeze) -> Decision:
    """Lift one named freeze; 404 `freeze_not_found` if it does not stand."""
    if command.name not in recorder.account.profile.frozen:
        raise not_found("freeze")
    recorder.record_main(ev.AccountUnfrozen(name=command.name))
    return Decision(200, describe(recorder))


def close(recorder: Recorder, _command: cmd.Close) -> Decision:
    """End an account: nothing new is granted, charged or moved; open holds end as they would, refunds still arrive."""
    require_open(recorder.account)
    recorder.open()
    recorder.record_main(ev.AccountClosed())
    return Decision(200, describe(recorder))


def erase(recorder: Recorder, _command: cmd.Erase) -> Decision:
    """Note that the free texts were erased; balances and history stay, and still verify."""
    if not recorder.account.version:
        raise not_found("account")
    recorder.record_main(ev.AccountChanged(erased=True))
    return Decision(200, describe(recorder))
