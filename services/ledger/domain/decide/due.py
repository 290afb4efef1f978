"""What time alone does to an account, applied in order of when it was due before anything else is decided.

At one instant: limits of holds, then the reset of the allowance, then expiries of lots, then starts of lots. Whether a
sweep ran makes no difference: a command, a sweep and a read all pass through here, and the read writes nothing.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush

from services.ledger.domain import events as ev
from services.ledger.domain.decide import budgets
from services.ledger.domain.decide.allowances import renew
from services.ledger.domain.decide.recorder import Recorder, returned
from services.ledger.domain.state import Account, Hold, Lot, Phase, reset_due

_HOLD_LIMIT, _RESET, _LOT_EXPIRY, _LOT_START = range(4)
_Due = tuple[int, int, str]
"""When something is due, what it is, and of which hold or lot."""


def _due(account: Account, now: int) -> list[_Due]:
    """What is due by now, in no order."""
    found = [(hold.expires_at, _HOLD_LIMIT, key) for key, hold in account.holds.items() if hold.expires_at <= now]
    reset = reset_due(account)
    if reset is not None and reset <= now:
        found.append((reset, _RESET, ""))
    for key, lot in account.lots.items():
        if lot.phase == Phase.SCHEDULED:
            if lot.terms.effective_at <= now:
                found.append((lot.terms.effective_at, _LOT_START, key))
        elif lot.phase == Phase.LIVE and lot.terms.expires_at is not None and lot.terms.expires_at <= now:
            found.append((lot.terms.expires_at, _LOT_EXPIRY, key))
    return found


def _expire_hold(recorder: Recorder, hold: Hold) -> None:
    slices = [ev.SliceOf(s.lot, ev.Units(s.amount)) for s in hold.slices]
    recorder.record(
        ev.HoldExpired(
            hold=hold.terms.id,
            amount=ev.Units(hold.remaining),
            captured_total=ev.Units(hold.captured),
            released=returned(recorder.account, slices),
            due_at=ev.Time(hold.expires_at),
            reference=hold.terms.reference,
            member=hold.terms.member,
            budgets=budgets.released(recorder, hold.terms.id),
        )
    )


def expire_lot(recorder: Recorder, lot: Lot) -> None:
    """Book the free part of a lot that is past its end as lost."""
    due_at = ev.Time(lot.terms.expires_at or 0)
    recorder.record(ev.LotExpired(grant=lot.terms.id, amount=ev.Units(lot.free), due_at=due_at))


def _start_lot(recorder: Recorder, lot: Lot) -> None:
    recorder.record(
        ev.AccountChanged(
            started=ev.SliceOf(lot.terms.id, ev.Units(lot.remaining)),
            overdraft_repaid=ev.Units(recorder.repaid_overdraft(lot.remaining)),
            due_at=ev.Time(lot.terms.effective_at),
        )
    )
    recorder.repay([lot.terms.id])


def apply_due(recorder: Recorder) -> None:
    """Record what has become due up to the recorder's time, one after another."""
    due = _due(recorder.account, recorder.now)
    heapify(due)
    while due:
        _, kind, key = heappop(due)
        if kind == _HOLD_LIMIT:
            _expire_hold(recorder, recorder.account.holds[key])
            continue
        if kind == _RESET:
            renew(recorder)
            continue
        lot = recorder.account.lots[key]
        if kind == _LOT_START:
            _start_lot(recorder, lot)
            expires_at = lot.terms.expires_at
            if expires_at is not None and expires_at <= recorder.now:
                heappush(due, (expires_at, _LOT_EXPIRY, key))
        elif lot.remaining and lot.phase == Phase.LIVE:
            # A lot that is used up has nothing to lose, and one that a reset ended has lost it already.
            expire_lot(recorder, lot)
    recorder.finish()
