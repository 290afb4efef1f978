"""The two halves of a transfer, and its undoing. The debit is the durable command for the credit."""

from __future__ import annotations

from services.ledger.domain import commands as cmd
from services.ledger.domain import events as ev
from services.ledger.domain.decide.due import expire_lot
from services.ledger.domain.decide.granting import LotPlan, check_lots, make_lot, restore
from services.ledger.domain.decide.recorder import Decision, Recorder, split
from services.ledger.domain.decide.spending import require_open, require_spendable, short
from services.ledger.domain.rejections import invalid, not_found
from services.ledger.domain.state import Origin


def debit(recorder: Recorder, command: cmd.Transfer) -> Decision:
    """Take free unscoped credits out; they keep their terms on the way. An overdraft cannot be given away."""
    recorder.context.config.require("transfers")
    account = recorder.account
    if command.to_user == account.profile.user:
        raise invalid("to_user", "transfer_to_self", "A transfer needs two accounts.")
    require_spendable(account)
    movable = min(account.free(), account.available())
    if command.amount > movable:
        raise short(recorder, command.amount, movable, min(account.free(), account.available() + account.owed))
    transfer_id = recorder.context.ids.new("transfer")
    slices = []
    for part in split(account.burn_order(None), command.amount):
        terms = account.lots[part.lot].terms
        expires_at = None if terms.expires_at is None else ev.Time(terms.expires_at)
        slices.append(
            ev.MovedLot(part.lot, part.amount, terms.source, terms.priority, expires_at, terms.scope, terms.cost_basis)
        )
    recorder.record_main(
        ev.TransferDebited(
            transfer=transfer_id, to_user=command.to_user, amount=ev.Units(command.amount), slices=tuple(slices)
        )
    )
    return Decision(202, {"id": transfer_id, "status": "pending", "amount": recorder.amount(command.amount)})


def credit_for(debited: ev.TransferDebited, from_user: str) -> cmd.CreditTransfer:
    """The second half of a transfer whose debit on `from_user`'s account was this."""
    lots = tuple(map(arriving, debited.slices))
    return cmd.CreditTransfer(transfer=debited.transfer, from_user=from_user, lots=lots)


def arriving(part: ev.MovedLot | ev.NewLot) -> cmd.IncomingLot:
    """A slice as it arrives: by what left the sender, or by the lot that was made of it."""
    return cmd.IncomingLot(
        amount=part.amount,
        source=part.source,
        priority=part.priority,
        expires_at=part.expires_at,
        scope=part.scope,
        cost_basis=part.cost_basis,
    )


def _ended(expires_at: int | None, now: int) -> bool:
    return expires_at is not None and expires_at <= now


def credit(recorder: Recorder, command: cmd.CreditTransfer) -> Decision:
    """Receive a transfer: one lot for each slice, with its terms; a slice that expired on the way expires here."""
    require_open(recorder.account)
    check_lots(recorder, len(command.lots))
    amount = sum(lot.amount for lot in command.lots)
    alive = sum(lot.amount for lot in command.lots if not _ended(lot.expires_at, recorder.now))
    recorder.open()
    # Debts are repaid once over the whole transfer, not once per slice, and never by what expired on the way.
    to_repay = recorder.repaid_overdraft(alive)
    lots: list[ev.NewLot] = []
    for incoming in command.lots:
        plan = LotPlan(
            incoming.amount,
            incoming.source,
            incoming.priority,
            expires_at=incoming.expires_at,
            scope=incoming.scope,
            cost_basis=incoming.cost_basis,
            origin=Origin("transfer", command.transfer),
        )
        share = 0 if _ended(incoming.expires_at, recorder.now) else min(to_repay, incoming.amount)
        to_repay -= share
        lots.append(make_lot(recorder, plan, share))
    recorder.record_main(
        ev.TransferCredited(
            transfer=command.transfer, from_user=command.from_user, amount=ev.Units(amount), lots=tuple(lots)
        )
    )
    for lot in lots:
        if _ended(lot.expires_at, recorder.now):
            expire_lot(recorder, recorder.account.lots[lot.grant])
        else:
            recorder.repay([lot.grant])
    return Decision(201, {"id": command.transfer, "status": "completed", "amount": recorder.amount(amount)})


def give_back(recorder: Recorder, command: cmd.ReturnTransfer) -> Decision:
    """Undo a debit whose credit was refused; no state of the account refuses this."""
    debited = recorder.context.loaded.debit
    if debited is None:
        raise not_found("transfer")
    parts = [(part.lot, int(part.amount)) for part in debited.slices]
    restored = restore(recorder, parts, command.transfer, "transfer_returned")
    recorder.record_main(
        ev.TransferReturned(
            transfer=command.transfer,
            to_user=debited.to_user,
            amount=debited.amount,
            refusal=command.refusal,
            slices=restored.slices,
            lots=restored.lots,
        )
    )
    recorder.repay([lot.grant for lot in restored.lots])
    return Decision(200, {"id": command.transfer, "status": "returned", "amount": recorder.amount(debited.amount)})
