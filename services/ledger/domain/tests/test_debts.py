"""Overdraft and what is owed: how they come about, and in which order new credits repay them."""

from __future__ import annotations

from services.ledger.domain.commands import (
    Act,
    Adjust,
    ChangeAccount,
    Charge,
    CreateHold,
    Grant,
    Revoke,
    Transfer,
)
from services.ledger.domain.tests.spec import Story, slices


def owing(amount: int = 30) -> Story:
    """Ann has nothing and owes `amount`, because a grant was taken back after she had spent it."""
    story = Story().given(Grant(amount=amount), Charge(amount=amount))
    return story.given(Revoke(grant="grant#1", policy="debt")).shows(settled=0, owed=amount, available=-amount)


def test_an_overdraft_serves_charges_up_to_its_limit() -> None:
    story = Story().given(Grant(amount=10), ChangeAccount(overdraft_limit=50)).shows(settled=10, available=60)
    story.when(Charge(amount=61)).refused("insufficient_credits", available="60")
    story.when(Charge(amount=60))
    facts = {"charge": "charge#1", "amount": "60", "slices": slices(grant1=10), "overdraft": "50"}
    story.then(("credits_charged", facts)).shows(settled=-50, available=0, overdraft_used=50)


def test_a_hold_never_draws_on_an_overdraft() -> None:
    story = Story().given(Grant(amount=10), ChangeAccount(overdraft_limit=50))
    story.when(CreateHold(amount=11, role="service")).refused("insufficient_credits", available="10")
    story.given(CreateHold(amount=10, role="service")).shows(held=10, available=50)


def test_a_grant_repays_what_is_owed_before_it_can_be_spent() -> None:
    owing().given(Grant(amount=100)).shows(settled=70, owed=0, available=70)


def test_a_charge_that_only_the_debt_prevents_says_so() -> None:
    story = owing().given(ChangeAccount(overdraft_limit=40)).shows(available=10)
    story.when(Charge(amount=11)).refused("account_owes", required="11", available="10", owed="30")
    story.when(Charge(amount=41)).refused("insufficient_credits")
    story.given(Charge(amount=10)).shows(available=0, settled=-10, owed=30)


def test_a_hold_that_more_than_the_debt_prevents_says_insufficient() -> None:
    story = Story().given(Grant(amount=60), Charge(amount=60), Grant(amount=50), ChangeAccount(overdraft_limit=50))
    story.given(Revoke(grant="grant#1", policy="debt")).shows(owed=60, settled=50, available=40)
    story.when(CreateHold(amount=51, role="service")).refused("insufficient_credits", available="40")
    story.when(CreateHold(amount=50, role="service")).refused("account_owes", available="40")
    story.given(CreateHold(amount=40, role="service")).shows(available=0)


def test_new_credits_repay_what_is_owed_then_the_overdraft_and_only_then_can_be_spent() -> None:
    story = owing().given(ChangeAccount(overdraft_limit=100), Charge(amount=70)).shows(settled=-70, owed=30)
    story.when(Grant(amount=20))
    lot = {
        "grant": "grant#2",
        "amount": "20",
        "remaining": "20",
        "source": "promo",
        "priority": 100,
        "effective_at": "2026-01-01T00:00:00.000000Z",
    }
    story.then(("credits_granted", {"lot": lot}), ("owed_repaid", {"amount": "20", "slices": slices(grant2=20)}))
    story.shows(settled=-70, owed=10)
    story.when(Grant(amount=50))
    lot = {**lot, "grant": "grant#3", "amount": "50", "remaining": "10"}
    story.then(("credits_granted", {"lot": lot}), ("owed_repaid", {"amount": "10", "slices": slices(grant3=10)}))
    story.shows(settled=-30, owed=0, overdraft_used=30, available=70)
    story.given(Grant(amount=100)).shows(settled=70, overdraft_used=0, available=170)


def test_credits_that_start_later_repay_when_they_start() -> None:
    story = owing().given(ChangeAccount(overdraft_limit=100), Charge(amount=20))
    story.given(Grant(amount=60, effective_at=story.at(60))).shows(owed=30, settled=-20)
    story.after(60).shows(owed=0, settled=10, overdraft_used=0, available=110)


def test_earned_and_adjusted_credits_repay_too() -> None:
    story = Story.of(earning_rules={"start": {"amount": "25"}})
    story.given(Grant(amount=60), Charge(amount=60), Revoke(grant="grant#1", policy="debt")).shows(owed=60)
    story.given(Act(action="start")).shows(owed=35, settled=0)
    story.given(Adjust(amount=40)).shows(owed=0, settled=5)


def test_a_transfer_in_repays_debts_once_over_all_its_parts() -> None:
    story = owing().given(ChangeAccount(overdraft_limit=20), user="ann")
    story.given(Grant(amount=10), Grant(amount=10), Grant(amount=30), user="ben")
    assert story.book.transfer("ben", "ann", 50).status == 201
    story.shows(settled=20, owed=0, overdraft_used=0)


def test_a_debt_keeps_credits_from_leaving() -> None:
    story = Story().given(Grant(amount=50), Grant(amount=40, effective_at=Story().at(60)), Charge(amount=50))
    story.given(Adjust(amount=10), Revoke(grant="grant#1", policy="debt")).shows(owed=50, settled=10)
    story.when(Transfer(to_user="ben", amount=10)).refused("account_owes")
    story.when(Transfer(to_user="ben", amount=11)).refused("insufficient_credits")


def test_lowering_the_limit_below_what_is_used_only_stops_further_use() -> None:
    story = Story().given(ChangeAccount(overdraft_limit=50), Charge(amount=40), ChangeAccount(overdraft_limit=10))
    story.shows(settled=-40, available=-30)
    story.when(Charge(amount=1)).refused("insufficient_credits", available="-30")
    story.given(Grant(amount=45)).shows(settled=5, overdraft_used=0, available=15)
