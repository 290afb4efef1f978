"""Grants, earning rules, adjustments, refunds and revokes: what brings credits in, and takes back what was brought."""

from __future__ import annotations

from dataclasses import dataclass

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.amounts import UNITS_MAX
from services.ledger.domain.codec import format_time
from services.ledger.domain.decide import budgets, earning
from services.ledger.domain.decide.recorder import Decision, Recorder, split
from services.ledger.domain.decide.spending import end_hold, open_hold, require_open
from services.ledger.domain.postings import REVOKED
from services.ledger.domain.records import ChargePart, ChargeRecord
from services.ledger.domain.rejections import Rejected, conflict, invalid, not_found
from services.ledger.domain.state import PRIORITY_DEFAULT, CostBasis, Lot, Origin, Phase, Source

GIFTS: frozenset[Source] = frozenset({"promo", "earned", "cashback", "referral"})
"""Sources that nobody has paid for. Grants of the others are not refused because an account has many lots."""
NEW_LOTS_MAX = 500
"""Lots that one refund may make: with their scopes and cost bases, one event must stay below Kafka's megabyte."""


@dataclass(slots=True)
class LotPlan:
    """The terms of a lot about to be made."""

    amount: int
    source: Source
    priority: int = PRIORITY_DEFAULT
    effective_at: int | None = None
    expires_at: int | None = None
    scope: tuple[str, ...] = ()
    cost_basis: CostBasis | None = None
    origin: Origin | None = None


def make_lot(recorder: Recorder, plan: LotPlan, overdraft_repaid: int = 0) -> ev.NewLot:
    """A lot of these terms under a new id; one that starts later is scheduled and repays nothing yet."""
    effective_at = recorder.now if plan.effective_at is None else plan.effective_at
    scheduled = effective_at > recorder.now
    return ev.NewLot(
        grant=recorder.context.ids.new("grant"),
        amount=ev.Units(plan.amount),
        remaining=ev.Units(plan.amount - overdraft_repaid),
        source=plan.source,
        priority=plan.priority,
        effective_at=ev.Time(effective_at),
        expires_at=None if plan.expires_at is None else ev.Time(plan.expires_at),
        scope=plan.scope,
        cost_basis=plan.cost_basis,
        origin=plan.origin,
        scheduled=scheduled,
    )


def _check_ceiling(recorder: Recorder, amount: int) -> None:
    account = recorder.account
    total = sum(lot.remaining for lot in account.lots.values()) + amount
    if total > UNITS_MAX:
        raise invalid("amount", "amount_too_large", f"A balance is at most {recorder.amount(UNITS_MAX)}.")


def check_lots(recorder: Recorder, new: int) -> None:
    """409 `too_many_lots` where `new` lots more would be too many for one account: of what is given, never of money."""
    limit = recorder.context.config.document.policies.lots_max
    account = recorder.account
    if len(account.lots) + new <= limit:
        return
    lots = sum(not lot.dead for lot in account.lots.values())
    if lots + new > limit:
        detail = f"The account has {lots} lots; the app allows {limit}."
        raise conflict("too_many_lots", detail, {"lots": lots, "limit": limit})


def _repaying(recorder: Recorder, plan: LotPlan) -> ev.NewLot:
    """A lot that repays a used overdraft as it is made, if it starts now."""
    starts_now = plan.effective_at is None or plan.effective_at <= recorder.now
    return make_lot(recorder, plan, recorder.repaid_overdraft(plan.amount) if starts_now else 0)


def _grant_body(recorder: Recorder, lot: ev.NewLot) -> dict[str, object]:
    return {
        "id": lot.grant,
        "amount": recorder.amount(lot.amount),
        "source": lot.source,
        "priority": lot.priority,
        "scope": list(lot.scope),
        "effective_at": format_time(lot.effective_at),
        "expires_at": None if lot.expires_at is None else format_time(lot.expires_at),
    }


def grant(recorder: Recorder, command: cmd.Grant) -> Decision:
    """Make a lot; what is owed, then a used overdraft, is repaid out of it first."""
    require_open(recorder.account)
    if command.source in GIFTS:
        check_lots(recorder, 1)
    _check_ceiling(recorder, command.amount)
    start = recorder.now if command.effective_at is None else command.effective_at
    if command.expires_at is not None and command.expires_at <= max(start, recorder.now):
        raise invalid("expires_at", "expires_too_early", "The expiry must be in the future and after the start.")
    plan = LotPlan(
        command.amount,
        command.source,
        command.priority,
        command.effective_at,
        command.expires_at,
        command.scope,
        command.cost_basis,
    )
    recorder.open()
    lot = _repaying(recorder, plan)
    recorder.record_main(ev.CreditsGranted(lot=lot))
    recorder.repay([lot.grant])
    return Decision(201, _grant_body(recorder, lot))


def act(recorder: Recorder, command: cmd.Act) -> Decision:
    """Earn what a rule gives for an action, as often as it may; rules of a group count together."""
    config = recorder.context.config
    config.require("actions")
    rule = config.rules.get(command.action)
    if rule is None or rule.asset != recorder.account.profile.asset:
        raise Rejected(404, "unknown_action", f"This app has no earning rule for '{command.action}'.")
    require_open(recorder.account)
    earned_times = earning.times(recorder, rule)
    earned_under = earning.under(recorder, rule)
    check_lots(recorder, 1)
    _check_ceiling(recorder, rule.amount)
    expires_at = None if rule.expires_after_us is None else recorder.now + rule.expires_after_us
    recorder.open()
    lot = _repaying(recorder, LotPlan(rule.amount, "earned", expires_at=expires_at))
    recorder.record_main(
        ev.CreditsGranted(
            lot=lot,
            action=command.action,
            earned_as=rule.remembered_as,
            earned_times=earned_times,
            earned_under=earned_under,
        )
    )
    recorder.repay([lot.grant])
    return Decision(201, {**_grant_body(recorder, lot), "action": command.action})


def adjust(recorder: Recorder, command: cmd.Adjust) -> Decision:
    """Correct a balance by hand: up by a lot, down by free unscoped credits only."""
    account = recorder.account
    require_open(account)
    adjustment = recorder.context.ids.new("adjustment")
    body = {"id": adjustment, "amount": recorder.amount(command.amount)}
    if command.amount > 0:
        _check_ceiling(recorder, command.amount)
        recorder.open()
        plan = LotPlan(command.amount, "promo", origin=Origin("adjustment", adjustment))
        lot = _repaying(recorder, plan)
        recorder.record_main(ev.BalanceAdjusted(adjustment=adjustment, amount=ev.Units(command.amount), lot=lot))
        recorder.repay([lot.grant])
        return Decision(201, body)
    free = account.free()
    if -command.amount > free:
        detail = f"Only {recorder.amount(free)} credits are free to be taken."
        extra = {"required": recorder.amount(-command.amount), "available": recorder.amount(free)}
        raise Rejected(402, "insufficient_credits", detail, extra)
    slices = tuple(split(account.burn_order(None), -command.amount))
    recorder.record_main(ev.BalanceAdjusted(adjustment=adjustment, amount=ev.Units(command.amount), slices=slices))
    return Decision(201, body)


def _refund_parts(record: ChargeRecord, amount: int) -> list[ChargePart]:
    """What a refund gives back: the parts of the charge from the last taken to the first, after earlier refunds."""
    skip, parts = record.refunded, []
    for part in reversed(record.parts):
        skipped = min(skip, part.amount)
        skip -= skipped
        taken = min(part.amount - skipped, amount)
        amount -= taken
        if taken:
            parts.append(ChargePart(part.kind, taken, part.lot))
    return parts


@dataclass(slots=True)
class Restored:
    """How credits come back: into the lots they came from, or, where those are dead, as new lots."""

    slices: tuple[ev.SliceOf, ...]
    lots: tuple[ev.NewLot, ...]


def restore(recorder: Recorder, parts: list[tuple[str, int]], source_id: str, kind: str) -> Restored:
    """Give (lot, amount) pairs back. A lot that expired or was revoked is replaced by one with its source, scope and
    cost basis that lasts for the app's `refund_grace_s`."""
    grace_us = recorder.context.config.document.policies.refund_grace_s * 1_000_000
    slices: list[ev.SliceOf] = []
    lots: list[ev.NewLot] = []
    for lot_id, amount in parts:
        lot = recorder.account.lots[lot_id]
        if _restorable(lot, recorder.now):
            slices.append(ev.SliceOf(lot_id, ev.Units(amount)))
            continue
        terms = lot.terms
        plan = LotPlan(
            amount,
            terms.source,
            terms.priority,
            expires_at=recorder.now + grace_us,
            scope=terms.scope,
            cost_basis=terms.cost_basis,
            origin=Origin(kind, source_id),
        )
        lots.append(make_lot(recorder, plan))
    return Restored(tuple(slices), tuple(lots))


def _restorable(lot: Lot, now: int) -> bool:
    # A lot that was used up before its end never expires by an event, so its time is looked at as well.
    ended = lot.terms.expires_at is not None and lot.terms.expires_at <= now
    return lot.phase == Phase.LIVE and not ended and not lot.revoked and not lot.revoking


def refund(recorder: Recorder, command: cmd.Refund) -> Decision:
    """Give credits of a charge back to the slices they came from, the last taken first."""
    record = recorder.context.loaded.charge
    if record is None:
        raise not_found("charge")
    left = record.amount - record.refunded
    amount = left if command.amount is None else command.amount
    if amount > left or amount <= 0:
        extra = {"refundable": recorder.amount(left)}
        raise conflict("refund_exceeds_charge", f"Of this charge, {recorder.amount(left)} can be refunded.", extra)
    account = recorder.account
    refund_id = recorder.context.ids.new("refund")
    lot_parts: list[tuple[str, int]] = []
    owed = overdraft = loose = 0
    for part in _refund_parts(record, amount):
        if part.kind == "lot":
            lot_parts.append((part.lot, part.amount))
            continue
        # What was owed or overdrawn may have been repaid since: then the credits come back as a lot of their own.
        open_debt = account.owed - owed if part.kind == "owed" else account.overdraft_used - overdraft
        forgiven = min(part.amount, open_debt)
        loose += part.amount - forgiven
        if part.kind == "owed":
            owed += forgiven
        else:
            overdraft += forgiven
    restored = restore(recorder, lot_parts, refund_id, "refund")
    lots = restored.lots
    if loose:
        lots = (*lots, make_lot(recorder, LotPlan(loose, "refund", origin=Origin("refund", refund_id))))
    if len(lots) > NEW_LOTS_MAX:
        detail = f"This refund would make {len(lots)} lots, and may make {NEW_LOTS_MAX}: refund less at once."
        raise conflict("too_many_lots", detail, {"lots": len(lots), "limit": NEW_LOTS_MAX})
    recorder.record_main(
        ev.ChargeRefunded(
            refund=refund_id,
            charge=record.id,
            amount=ev.Units(amount),
            refunded_total=ev.Units(record.refunded + amount),
            slices=restored.slices,
            lots=lots,
            overdraft=ev.Units(overdraft),
            owed=ev.Units(owed),
            budgets=budgets.refunded(recorder, record, amount),
        )
    )
    recorder.repay([lot.grant for lot in lots])
    return Decision(
        201,
        {
            "id": refund_id,
            "charge": record.id,
            "amount": recorder.amount(amount),
            "refunded": recorder.amount(record.refunded + amount),
        },
    )


def revoke(recorder: Recorder, command: cmd.Revoke) -> Decision:
    """Take a grant back: its free part now, its pinned part when it is released, its spent part by policy."""
    policy = command.policy or recorder.context.config.document.policies.revoke
    lot = recorder.account.lots.get(command.grant)
    if lot is None:
        raise not_found("grant")
    if policy == "block" and lot.spent:
        raise conflict("grant_spent", "Some of this grant has been spent.", {"spent": recorder.amount(lot.spent)})
    if command.amount is not None and command.amount > lot.terms.amount:
        raise invalid("amount", "amount_too_large", "The amount is more than was granted.")
    revocable = lot.remaining + lot.spent - lot.revoking
    amount = min(command.amount or revocable, revocable)
    if amount <= 0:
        raise conflict("grant_spent", "Nothing of this grant is left to revoke.")
    if command.hold is not None:
        recorder.record(end_hold(recorder, open_hold(recorder, command.hold), "revoked"))
        lot = recorder.account.lots[command.grant]
        # What the hold had pinned of an expired lot is lost by now, and neither taken nor owed.
        amount = min(amount, lot.remaining + lot.spent - lot.revoking)
    scheduled = lot.phase == Phase.SCHEDULED
    taken = min(amount, lot.remaining if scheduled else lot.free)
    pending = min(amount - taken, lot.pinned - lot.revoking)
    spent = amount - taken - pending
    debt = spent if policy == "debt" else 0
    revoke_id = recorder.context.ids.new("revoke")
    recorder.record_main(
        ev.GrantRevoked(
            revoke=revoke_id,
            grant=command.grant,
            source=lot.terms.source,
            amount=ev.Units(amount),
            policy=policy,
            taken=ev.Units(taken),
            pending=ev.Units(pending),
            debt=ev.Units(debt),
            absorbed=ev.Units(spent - debt),
            hold=command.hold,
            scheduled=scheduled,
        )
    )
    if debt:
        recorder.record(ev.OwedRecorded(amount=ev.Units(debt), cause=revoke_id, against=REVOKED))
    return Decision(
        201,
        {
            "id": revoke_id,
            "grant": command.grant,
            "amount": recorder.amount(amount),
            "taken": recorder.amount(taken),
            "pending": recorder.amount(pending),
            "debt": recorder.amount(debt),
            "absorbed": recorder.amount(spent - debt),
        },
    )
