"""What time alone does to an account, applied in order of when it was due before anything else is decided.

At one instant: limits of holds, then expiries of lots, then starts of lots. Whether a sweep ran makes no difference:
a command, a sweep and a read all pass through here, and the read writes nothing.
"""

from __future__ import annotations

from services.ledger.domain import events as ev
from services.ledger.domain.decide.recorder import Recorder, returned
from services.ledger.domain.state import Account, Hold, Lot, Phase

_Due = tuple[int, int, str]


def _earliest(account: Account, now: int) -> tuple[_Due, Hold | Lot] | None:
    found: tuple[_Due, Hold | Lot] | None = None
    for hold in account.holds.values():
        found = _sooner(found, (hold.expires_at, 0, hold.terms.id), hold, now)
    for lot in account.lots.values():
        if lot.phase == Phase.SCHEDULED:
            found = _sooner(found, (lot.terms.effective_at, 2, lot.terms.id), lot, now)
        elif lot.phase == Phase.LIVE and lot.terms.expires_at is not None and lot.remaining:
            found = _sooner(found, (lot.terms.expires_at, 1, lot.terms.id), lot, now)
    return found


def _sooner(
    found: tuple[_Due, Hold | Lot] | None, due: _Due, item: Hold | Lot, now: int
) -> tuple[_Due, Hold | Lot] | None:
    return (due, item) if due[0] <= now and (found is None or due < found[0]) else found


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
    while (next_item := _earliest(recorder.account, recorder.now)) is not None:
        (_, kind, _), item = next_item
        if isinstance(item, Hold):
            _expire_hold(recorder, item)
        elif kind == 1:
            expire_lot(recorder, item)
        else:
            _start_lot(recorder, item)
    recorder.finish()
