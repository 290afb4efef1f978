"""Refunds: credits go back where they came from, the last taken first."""

from __future__ import annotations

from services.ledger.domain.commands import (
    CaptureHold,
    ChangeAccount,
    Charge,
    Close,
    CreateHold,
    Freeze,
    Grant,
    Refund,
    Revoke,
    Sweep,
)
from services.ledger.domain.state import CostBasis
from services.ledger.domain.tests.spec import Story, slices

DAY = 86_400


def test_a_refund_returns_credits_to_their_lots_the_last_taken_first() -> None:
    story = Story().given(Grant(amount=10), Grant(amount=10), Charge(amount=15))
    story.when(Refund(charge="charge#1", amount=8))
    facts = {"refund": "refund#1", "charge": "charge#1", "amount": "8", "refunded_total": "8"}
    story.then(("charge_refunded", {**facts, "slices": slices(grant2=5, grant1=3)}))
    story.answered(id="refund#1", amount="8", refunded="8").shows(settled=13, available=13)


def test_later_refunds_go_on_where_earlier_ones_stopped() -> None:
    story = Story().given(Grant(amount=10), Grant(amount=10), Grant(amount=10), Charge(amount=30))
    story.given(Refund(charge="charge#1", amount=15)).when(Refund(charge="charge#1", amount=10))
    facts = {"refund": "refund#2", "charge": "charge#1", "amount": "10", "refunded_total": "25"}
    story.then(("charge_refunded", {**facts, "slices": slices(grant2=5, grant1=5)}))


def test_what_is_left_is_refunded_without_an_amount_and_never_more_than_was_charged() -> None:
    story = Story().given(Grant(amount=20), Charge(amount=15), Refund(charge="charge#1", amount=8))
    story.when(Refund(charge="charge#1", amount=8)).refused("refund_exceeds_charge", refundable="7")
    story.when(Refund(charge="charge#1")).answered(amount="7", refunded="15").shows(settled=20)
    story.when(Refund(charge="charge#1")).refused("refund_exceeds_charge", refundable="0")
    story.when(Refund(charge="charge_none")).refused("charge_not_found")


def test_into_an_expired_lot_it_makes_a_new_one_on_the_same_terms_for_a_time_of_grace() -> None:
    story = Story().given(
        Grant(
            amount=50,
            source="paid",
            priority=7,
            scope=("chat",),
            expires_at=Story().at(60),
            cost_basis=CostBasis(999, "USD"),
        ),
        Charge(amount=20, service="chat"),
    )
    story.after(60).given(Sweep()).when(Refund(charge="charge#1"))
    lot = {
        "grant": "grant#2",
        "amount": "20",
        "remaining": "20",
        "source": "paid",
        "priority": 7,
        "effective_at": "2026-01-01T00:01:00.000000Z",
        "expires_at": "2026-01-08T00:01:00.000000Z",
        "scope": ["chat"],
        "cost_basis": {"amount_minor": 999, "currency": "USD"},
        "origin": {"kind": "refund", "id": "refund#1"},
    }
    facts = {"refund": "refund#1", "charge": "charge#1", "amount": "20", "refunded_total": "20", "lots": [lot]}
    story.then(("charge_refunded", facts))
    story.shows(settled=20, available=0).shows(service="chat", available=20)


def test_a_lot_that_was_used_up_before_it_ended_takes_nothing_back_either() -> None:
    story = Story().given(Grant(amount=20, expires_at=Story().at(60)), Charge(amount=20))
    story.after(3600).given(Refund(charge="charge#1")).shows(settled=20, available=20)
    story.after(7 * DAY - 1).shows(available=20).after(1).shows(available=0)


def test_into_a_revoked_lot_it_makes_a_new_one_which_repays_what_is_owed() -> None:
    story = Story().given(Grant(amount=20), Charge(amount=20), Revoke(grant="grant#1", policy="debt")).shows(owed=20)
    story.given(Refund(charge="charge#1")).shows(settled=0, owed=0)


def test_a_refund_forgives_what_the_capture_left_owed() -> None:
    story = Story.of(policies={"capture_tolerance_percent": 100})
    story.given(Grant(amount=10), CreateHold(amount=10, role="service"), ChangeAccount(overdraft_limit=3))
    story.given(CaptureHold(hold="hold#1", amount=18)).shows(owed=5, settled=-3)
    story.when(Refund(charge="charge#1", amount=6))
    facts = {"refund": "refund#1", "charge": "charge#1", "amount": "6", "refunded_total": "6"}
    story.then(("charge_refunded", {**facts, "overdraft": "1", "owed": "5"})).shows(owed=0, settled=-2)
    story.given(Refund(charge="charge#1")).shows(settled=10, owed=0, overdraft_used=0)


def test_what_was_owed_and_repaid_since_comes_back_as_credits() -> None:
    story = Story.of(policies={"capture_tolerance_percent": 100})
    story.given(Grant(amount=10), CreateHold(amount=10, role="service"), CaptureHold(hold="hold#1", amount=15))
    story.given(Grant(amount=5)).shows(owed=0, settled=0)
    story.given(Refund(charge="charge#1", amount=5)).shows(owed=0, settled=5, available=5)


def test_frozen_and_closed_accounts_still_get_refunds() -> None:
    story = Story().given(Grant(amount=10), Charge(amount=10), Freeze(name="manual"))
    story.given(Refund(charge="charge#1", amount=4), Close(), Refund(charge="charge#1", amount=6)).shows(settled=10)


def test_a_capture_is_refunded_as_a_charge() -> None:
    story = Story().given(Grant(amount=10), CreateHold(amount=8, role="service"), CaptureHold(hold="hold#1", amount=5))
    story.when(Refund(charge="charge#1", amount=2)).answered(refunded="2").shows(settled=7)


def test_what_a_capture_took_beyond_its_hold_comes_back_too() -> None:
    story = Story.of(policies={"capture_tolerance_percent": 100})
    story.given(Grant(amount=10), Grant(amount=10), CreateHold(amount=10, role="service"))
    story.given(CaptureHold(hold="hold#1", amount=16)).when(Refund(charge="charge#1", amount=9))
    facts = {"refund": "refund#1", "charge": "charge#1", "amount": "9", "refunded_total": "9"}
    story.then(("charge_refunded", {**facts, "slices": slices(grant2=6, grant1=3)})).shows(settled=13)
