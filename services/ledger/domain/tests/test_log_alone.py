"""What follows from events and nothing else."""

from __future__ import annotations

from services.ledger.domain import events as ev
from services.ledger.domain.evolve import evolve
from services.ledger.domain.postings import SCHEDULED, USER, postings
from services.ledger.domain.state import Account, Profile


def _lot(*, scheduled: bool = False) -> ev.NewLot:
    units = ev.Units(10)
    return ev.NewLot(
        "grant_1", units, units, "paid", priority=100, effective_at=ev.Time(0), expires_at=None, scheduled=scheduled
    )


def test_the_first_event_tells_the_scale_and_when_the_account_was_opened() -> None:
    """I5: whoever folds a log from its beginning knows no configuration."""
    account = evolve(Account(Profile("coins", "ann", "gold", scale=0, partition=0)), ev.AccountOpened(scale=2, at=77))
    assert (account.profile.scale, account.profile.opened_at, account.time_us) == (2, 77, 77)


def test_a_grant_comes_out_of_the_account_of_its_source() -> None:
    """I1: what was issued is told apart by its source."""
    assert postings(ev.CreditsGranted(lot=_lot())) == [("@issued/paid", -10), (USER, 10)]
    assert postings(ev.CreditsGranted(lot=_lot(scheduled=True))) == [("@issued/paid", -10), (SCHEDULED, 10)]
