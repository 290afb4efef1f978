"""Transfers: credits keep their terms, and come back when the other side cannot take them."""

from __future__ import annotations

import pytest

from services.ledger.domain.commands import ChangeAccount, Charge, Close, CreateHold, Freeze, Grant, Revoke, Transfer
from services.ledger.domain.state import CostBasis
from services.ledger.domain.tests.spec import Story, slices


def test_credits_arrive_with_source_expiry_and_cost_that_they_had() -> None:
    story = Story().given(
        Grant(amount=10, source="paid", priority=3, cost_basis=CostBasis(100, "EUR"), expires_at=Story().at(60)),
        Grant(amount=10, source="code"),
    )
    assert story.book.transfer("ann", "ben", 15).body["status"] == "completed"
    story.shows(settled=5).shows(user="ben", settled=15, available=15)
    lots = list(story.book.accounts["ben"].lots.values())
    assert [(lot.remaining, lot.terms.source, lot.terms.priority, lot.terms.cost_basis) for lot in lots] == [
        (10, "paid", 3, CostBasis(100, "EUR")),
        (5, "code", 100, None),
    ]
    story.after(60).shows(user="ben", settled=5)


def test_a_pending_transfer_is_nowhere_but_on_its_way() -> None:
    story = Story().given(Grant(amount=10)).when(Transfer(to_user="ben", amount=4))
    moved = [{**slices(grant1=4)[0], "source": "promo", "priority": 100}]
    story.then(("transfer_debited", {"transfer": "transfer#1", "to_user": "ben", "amount": "4", "slices": moved}))
    story.answered(id="transfer#1", status="pending").shows(settled=6)
    assert story.book.laws.totals["@clearing"] == 4
    story.book.arrive("ann", story.id("transfer#1"))
    assert story.book.laws.totals["@clearing"] == 0
    story.shows(user="ben", settled=4)


def test_what_expires_on_the_way_is_lost_and_repays_nothing() -> None:
    story = Story().given(Grant(amount=10, expires_at=Story().at(60)), Grant(amount=10))
    story.given(ChangeAccount(overdraft_limit=20), Charge(amount=20), user="ben")
    story.given(Transfer(to_user="ben", amount=15)).after(60)
    answer = story.book.arrive("ann", story.id("transfer#1"))
    assert answer.body["settled"] == "-15"
    story.shows(user="ben", settled=-15, overdraft_used=15, available=5)


def test_what_a_closed_account_refuses_returns_to_its_lots() -> None:
    story = Story().given(Grant(amount=10)).given(Close(), user="ben")
    answer = story.book.transfer("ann", "ben", 4)
    assert (answer.body["status"], answer.body["settled"]) == ("returned", "10")
    story.shows(settled=10, available=10).shows(user="ben", settled=0)
    assert len(story.book.accounts["ann"].lots) == 1


@pytest.mark.parametrize("meanwhile", [Freeze(name="manual"), Close(), Revoke(grant="grant#1", policy="absorb")])
def test_no_state_of_the_sender_prevents_the_return(meanwhile: Freeze | Close | Revoke) -> None:
    story = Story().given(Grant(amount=10)).given(Close(), user="ben").given(Transfer(to_user="ben", amount=4))
    story.given(meanwhile)
    left = story.book.seen("ann").settled
    story.book.arrive("ann", story.id("transfer#1"))
    story.shows(settled=left + 4)


def test_a_return_after_the_lot_ended_makes_one_for_a_time_of_grace() -> None:
    story = Story().given(Grant(amount=10, expires_at=Story().at(60))).given(Close(), user="ben")
    story.given(Transfer(to_user="ben", amount=4)).after(100)
    story.book.arrive("ann", story.id("transfer#1"))
    story.shows(settled=4, available=4).after(7 * 86_400).shows(settled=0)


def test_only_free_unscoped_credits_can_be_given_away_and_no_overdraft() -> None:
    story = Story().given(Grant(amount=10), Grant(amount=10, scope=("chat",)), ChangeAccount(overdraft_limit=50))
    story.given(CreateHold(amount=4, role="service"))
    story.when(Transfer(to_user="ben", amount=7)).refused("insufficient_credits", required="7", available="6")
    story.given(Transfer(to_user="ben", amount=6))


def test_a_frozen_account_receives_but_does_not_send() -> None:
    story = Story().given(Grant(amount=10), Freeze(name="manual")).given(Grant(amount=10), user="ben")
    story.when(Transfer(to_user="ben", amount=1)).refused("account_frozen")
    assert story.book.transfer("ben", "ann", 3).rejected is None
    story.shows(settled=13)


def test_nobody_sends_to_himself() -> None:
    Story().given(Grant(amount=10)).when(Transfer(to_user="ann", amount=1)).refused("invalid_request")
