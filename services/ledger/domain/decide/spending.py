"""Charges and holds: what takes credits. None of it takes `available` below zero.

A budget refuses what it does not allow after the balance has been asked, and never a capture: the work is done.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.codec import format_time
from services.ledger.domain.decide import budgets
from services.ledger.domain.decide.pricing import Bill, bill, bill_of_hold, priced_view
from services.ledger.domain.decide.recorder import Decision, Recorder, returned, split
from services.ledger.domain.postings import REVENUE, REVOKED
from services.ledger.domain.rejections import Rejected, conflict, invalid, not_found
from services.ledger.domain.state import Account, Hold, Lot, Slice

SECOND_US = 1_000_000
Slices = tuple[ev.SliceOf, ...]


def require_open(account: Account) -> None:
    """409 `account_closed`."""
    if account.profile.closed_at is not None:
        raise conflict("account_closed", "The account is closed.")


def require_spendable(account: Account) -> None:
    """409 `account_closed` or `account_frozen`: charges, new holds and transfers out need neither."""
    require_open(account)
    if account.profile.frozen:
        raise conflict("account_frozen", "The account is frozen.", {"freezes": list(account.profile.frozen)})


def short(recorder: Recorder, required: int, available: int, without_debt: int) -> Rejected:
    """402 `account_owes` where only what is owed prevents it (`without_debt` would do), else `insufficient_credits`."""
    account = recorder.account
    code = "account_owes" if account.owed and required <= without_debt else "insufficient_credits"
    detail = (
        "The account must repay what it owes first."
        if code == "account_owes"
        else f"The operation needs {recorder.amount(required)} credits, but {recorder.amount(available)} are available."
    )
    extra = {
        "required": recorder.amount(required),
        "available": recorder.amount(available),
        "owed": recorder.amount(account.owed),
        "top_up_url": recorder.context.config.document.policies.top_up_url,
    }
    return Rejected(402, code, detail, extra)


def charge(recorder: Recorder, command: cmd.Charge) -> Decision:
    """Take credits now: lots in burn-down order, then the account's overdraft."""
    account = recorder.account
    require_spendable(account)
    cost = bill(recorder, command.amount, command.ask)
    available = account.available(command.service)
    if cost.amount > available:
        raise short(recorder, cost.amount, available, available + account.owed)
    uses = budgets.charged(recorder, command.labels, cost.amount)
    slices = split(account.burn_order(command.service), cost.amount)
    charge_id = recorder.context.ids.new("charge")
    recorder.open()
    recorder.record_main(
        ev.CreditsCharged(
            charge=charge_id,
            amount=ev.Units(cost.amount),
            slices=tuple(slices),
            overdraft=ev.Units(cost.amount - sum([s.amount for s in slices])),
            service=command.service,
            budgets=uses,
            priced=cost.priced,
        )
    )
    budgets.tell(recorder, uses)
    body = {"id": charge_id, "amount": recorder.amount(cost.amount), "service": command.service}
    return Decision(201, {**body, **priced_view(recorder, cost.priced)})


def _hold_lots(account: Account, service: str | None, grant: str | None) -> list[Lot]:
    if grant is None:
        return account.burn_order(service)
    lot = account.lots.get(grant)
    if lot is None:
        raise not_found("grant")
    return [lot] if lot.free > 0 else []


@dataclass(slots=True)
class _Pin:
    """What a hold would pin: `wanted` of `lots`, or with `partial` what there is.

    Whose budgets count is said by `labels`, or by the `hold` that is there already.
    """

    wanted: int
    lots: list[Lot]
    partial: bool
    service: str | None
    grant: str | None
    labels: cmd.Labels
    hold: Hold | None = None


def _pinned(recorder: Recorder, pin: _Pin) -> tuple[Slices, budgets.Uses]:
    """The slices that are pinned, and what budgets count then; 402 if there is too little, 409 if a budget forbids it.

    Holds never draw on an overdraft.
    """
    account = recorder.account
    free = sum(lot.free for lot in pin.lots)
    scope_free = free if pin.grant is not None else account.free(pin.service)
    without_debt = min(free, scope_free + account.overdraft_left)
    holdable = min(free, scope_free + account.overdraft_left - account.owed)
    least = min(1, pin.wanted) if pin.partial else pin.wanted
    if least > holdable:
        raise short(recorder, least, holdable, without_debt)
    asked = budgets.claims(recorder, pin.labels, pin.hold)
    budgets.check(recorder, asked, least)
    amount = min(pin.wanted, holdable, budgets.left(asked))
    return tuple(split(pin.lots, amount)), budgets.counted(asked, amount)


def create_hold(recorder: Recorder, command: cmd.CreateHold) -> Decision:
    """Pin credits for a time; holds never draw on an overdraft. `partial` takes what there is, if that is less."""
    config = recorder.context.config
    config.require("holds")
    ttl_s, max_s = config.hold_seconds(command.role, command.ttl_s)
    if command.ttl_s is not None and command.ttl_s > max_s:
        raise invalid("ttl_s", "ttl_too_long", f"A hold of this app lasts at most {max_s} seconds.")
    account = recorder.account
    require_spendable(account)
    open_max = config.document.hold_limits.open_max
    if len(account.holds) >= open_max:
        detail = f"The account has {len(account.holds)} open holds; the app allows {open_max}."
        raise conflict("too_many_holds", detail, {"holds": len(account.holds), "limit": open_max})
    cost = bill(recorder, command.amount, command.ask, pinned=True)
    lots = _hold_lots(account, command.service, command.grant)
    pin = _Pin(cost.amount, lots, command.partial, command.service, command.grant, command.labels)
    slices, uses = _pinned(recorder, pin)
    amount = sum(s.amount for s in slices)
    hold_id = recorder.context.ids.new("hold")
    recorder.open()
    expires_at = ev.Time(recorder.now + ttl_s * SECOND_US)
    recorder.record_main(
        ev.HoldCreated(
            hold=hold_id,
            amount=ev.Units(amount),
            slices=slices,
            expires_at=expires_at,
            limit_at=ev.Time(recorder.now + max_s * SECOND_US),
            service=command.service,
            grant=command.grant,
            budgets=uses,
            priced=cost.priced,
        )
    )
    budgets.tell(recorder, uses)
    return Decision(
        201,
        {
            "id": hold_id,
            "status": "open",
            "amount": recorder.amount(amount),
            "captured": recorder.amount(0),
            "expires_at": format_time(expires_at),
            "service": command.service,
            "grant": command.grant,
            **priced_view(recorder, cost.priced),
        },
    )


def open_hold(recorder: Recorder, hold_id: str) -> Hold:
    """The open hold of this id; 409 `hold_resolved` if it has ended, 404 `hold_not_found`."""
    hold = recorder.account.holds.get(hold_id)
    if hold is not None:
        return hold
    resolution = recorder.context.loaded.resolution
    if resolution is None:
        raise not_found("hold")
    outcome: dict[str, Any] = {
        "id": hold_id,
        "status": resolution.status,
        "captured": recorder.amount(resolution.captured),
        "resolved_at": format_time(resolution.resolved_at),
    }
    raise conflict("hold_resolved", f"The hold has ended: {resolution.status}.", {"hold": outcome})


def _first(slices: tuple[Slice, ...], amount: int) -> tuple[list[ev.SliceOf], list[ev.SliceOf]]:
    """The slices that make up `amount`, from the front, and the rest."""
    taken, rest = [], []
    for s in slices:
        part = min(s.amount, amount)
        amount -= part
        if part:
            taken.append(ev.SliceOf(s.lot, ev.Units(part)))
        if s.amount > part:
            rest.append(ev.SliceOf(s.lot, ev.Units(s.amount - part)))
    return taken, rest


def _check_tolerance(recorder: Recorder, hold: Hold, amount: int) -> None:
    percent = recorder.context.config.document.policies.capture_tolerance_percent
    allowed = hold.terms.amount + hold.terms.amount * percent // 100 - hold.captured
    if amount > max(allowed, hold.remaining):
        extra = {"required": recorder.amount(amount), "capturable": recorder.amount(max(allowed, hold.remaining))}
        raise conflict("capture_exceeds_tolerance", "The capture exceeds the hold by more than the app allows.", extra)


def _escaped_revoke(lot: Lot, captured: int) -> int:
    """What a revoke under the policy `debt` was waiting for in this lot, and loses to the capture."""
    return max(0, lot.revoking - (lot.pinned - captured)) if lot.revoke_policy == "debt" else 0


def capture_hold(recorder: Recorder, command: cmd.CaptureHold) -> Decision:
    """Charge what a hold has pinned; what exceeds it comes from free credits, then the overdraft, then is owed."""
    hold = open_hold(recorder, command.hold)
    cost = Bill(hold.remaining if command.amount is None else command.amount)
    if command.usage is not None:
        cost = bill_of_hold(recorder, hold, command.usage)
    amount = cost.amount
    if amount <= 0 and cost.priced is None:
        raise invalid("amount", "amount_not_positive", "The hold has nothing left to capture; release it instead.")
    _check_tolerance(recorder, hold, amount)
    account = recorder.account
    pinned, rest = _first(hold.slices, amount)
    missing = amount - sum(s.amount for s in pinned)
    excess = split(account.burn_order(hold.terms.service), missing) if missing else []
    missing -= sum(s.amount for s in excess)
    overdraft = min(missing, max(account.overdraft_left, 0))
    shortfall = missing - overdraft
    charge_id = recorder.context.ids.new("charge")
    debt = sum(_escaped_revoke(account.lots[s.lot], s.amount) for s in pinned)
    uses = budgets.captured(recorder, hold, amount, sum(s.amount for s in pinned), final=command.final)
    recorder.record_main(
        ev.HoldCaptured(
            hold=command.hold,
            charge=charge_id,
            amount=ev.Units(amount),
            slices=tuple(pinned),
            excess=tuple(excess),
            overdraft=ev.Units(overdraft),
            shortfall=ev.Units(shortfall),
            captured_total=ev.Units(hold.captured + amount),
            final=command.final,
            released=returned(account, rest) if command.final and rest else None,
            service=hold.terms.service,
            budgets=uses,
            priced=cost.priced,
        )
    )
    budgets.tell(recorder, uses)
    if shortfall:
        recorder.record(ev.OwedRecorded(amount=ev.Units(shortfall), cause=charge_id, against=REVENUE))
    if debt:
        recorder.record(ev.OwedRecorded(amount=ev.Units(debt), cause=charge_id, against=REVOKED))
    return Decision(
        201,
        {
            "id": command.hold,
            "status": "captured" if command.final else "open",
            "charge": charge_id,
            "amount": recorder.amount(amount),
            "captured": recorder.amount(hold.captured + amount),
            "shortfall": recorder.amount(shortfall),
            **priced_view(recorder, cost.priced),
        },
    )


def extend_hold(recorder: Recorder, command: cmd.ExtendHold) -> Decision:
    """Move a hold's end to `ttl_s` from now, never earlier than it is and never beyond its limit; pin more for it.

    `amount` is more than now; `usage` is all of a new estimate, of which what was captured and what is pinned are a
    part. Nothing is ever let go.
    """
    hold = open_hold(recorder, command.hold)
    expires_at = hold.expires_at
    if command.ttl_s is not None:
        expires_at = max(min(recorder.now + command.ttl_s * SECOND_US, hold.terms.limit_at), expires_at)
    cost = Bill(command.amount or 0)
    if command.usage is not None:
        cost = bill_of_hold(recorder, hold, command.usage)
        cost.amount = max(0, cost.amount - hold.captured - hold.remaining)
    slices: Slices = ()
    uses: budgets.Uses = ()
    if cost.amount:
        require_spendable(recorder.account)
        terms = hold.terms
        gone = terms.grant is not None and terms.grant not in recorder.account.lots
        lots = [] if gone else _hold_lots(recorder.account, terms.service, terms.grant)
        pin = _Pin(cost.amount, lots, command.partial, terms.service, terms.grant, command.labels, hold)
        slices, uses = _pinned(recorder, pin)
    more = sum(s.amount for s in slices)
    recorder.record_main(
        ev.HoldExtended(
            hold=command.hold,
            expires_at=ev.Time(expires_at),
            budgets=uses,
            amount=ev.Units(more),
            slices=slices,
            priced=cost.priced,
        )
    )
    budgets.tell(recorder, uses)
    return Decision(
        200,
        {
            "id": command.hold,
            "status": "open",
            "amount": recorder.amount(hold.terms.amount + more),
            "added": recorder.amount(more),
            "captured": recorder.amount(hold.captured),
            "expires_at": format_time(expires_at),
            **priced_view(recorder, cost.priced),
        },
    )


def end_hold(recorder: Recorder, hold: Hold, cause: str) -> ev.HoldReleased:
    """The release of all that a hold still pins."""
    slices = [ev.SliceOf(s.lot, ev.Units(s.amount)) for s in hold.slices]
    return ev.HoldReleased(
        hold=hold.terms.id,
        amount=ev.Units(hold.remaining),
        captured_total=ev.Units(hold.captured),
        released=returned(recorder.account, slices),
        cause=cause,
        budgets=budgets.released(recorder, hold.terms.id),
    )


def release_hold(recorder: Recorder, command: cmd.ReleaseHold) -> Decision:
    """Let go of what a hold pins; what was captured of it stays charged."""
    hold = open_hold(recorder, command.hold)
    recorder.record_main(end_hold(recorder, hold, "released"))
    return Decision(
        200,
        {
            "id": command.hold,
            "status": "released",
            "released": recorder.amount(hold.remaining),
            "captured": recorder.amount(hold.captured),
        },
    )
