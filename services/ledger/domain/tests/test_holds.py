"""Holds: reserved, captured in parts or beyond, extended, released, expired, each once."""

from __future__ import annotations

import pytest

from services.ledger.domain.commands import (
    CaptureHold,
    ChangeAccount,
    Charge,
    Command,
    CreateHold,
    ExtendHold,
    Freeze,
    Grant,
    ReleaseHold,
    Revoke,
    Sweep,
)
from services.ledger.domain.tests.spec import Story, slices

TOLERANT = {"policies": {"capture_tolerance_percent": 50}}


def hold(amount: int, **terms: object) -> CreateHold:
    """A hold by a service."""
    return CreateHold(amount=amount, role="service", **terms)  # type: ignore[arg-type]


def test_a_hold_reserves_credits_and_keeps_them_settled() -> None:
    story = Story().given(Grant(amount=100)).when(hold(30, ttl_s=60))
    facts = {
        "hold": "hold#1",
        "amount": "30",
        "slices": slices(grant1=30),
        "expires_at": "2026-01-01T00:01:00.000000Z",
        "limit_at": "2026-01-02T00:00:00.000000Z",
    }
    story.then(("hold_created", facts)).shows(settled=100, held=30, available=70)
    story.when(Charge(amount=71)).refused("insufficient_credits", available="70")


def test_an_estimate_is_held_and_the_actual_cost_captured_f7() -> None:
    story = Story().given(Grant(amount=100), hold(30)).when(CaptureHold(hold="hold#1", amount=12))
    facts = {
        "hold": "hold#1",
        "charge": "charge#1",
        "amount": "12",
        "slices": slices(grant1=12),
        "captured_total": "12",
        "released": {"slices": slices(grant1=18)},
    }
    story.then(("hold_captured", facts)).shows(settled=88, held=0, available=88)
    story.answered(id="hold#1", status="captured", charge="charge#1", amount="12", captured="12", available="88")


def test_without_an_amount_all_that_is_reserved_is_captured() -> None:
    Story().given(Grant(amount=100), hold(30), CaptureHold(hold="hold#1")).shows(settled=70, held=0)


def test_several_captures_each_make_a_charge_until_the_last() -> None:
    story = Story().given(Grant(amount=100), hold(30))
    story.when(CaptureHold(hold="hold#1", amount=10, final=False))
    story.answered(status="open", charge="charge#1", captured="10").shows(settled=90, held=20)
    story.when(CaptureHold(hold="hold#1", amount=15, final=False)).answered(charge="charge#2", captured="25")
    story.when(CaptureHold(hold="hold#1")).answered(status="captured", charge="charge#3", amount="5", captured="30")
    story.shows(settled=70, held=0, available=70)


def test_an_open_hold_that_is_used_up_waits_to_be_released() -> None:
    story = Story().given(Grant(amount=30), hold(30), CaptureHold(hold="hold#1", amount=30, final=False))
    story.when(CaptureHold(hold="hold#1")).refused("invalid_request")
    story.when(ReleaseHold(hold="hold#1")).answered(status="released", released="0", captured="30")


def test_a_capture_beyond_the_tolerance_is_refused_and_the_hold_stays() -> None:
    story = Story.of(**TOLERANT).given(Grant(amount=100), hold(30))
    story.when(CaptureHold(hold="hold#1", amount=46))
    story.refused("capture_exceeds_tolerance", required="46", capturable="45").shows(held=30)
    story.given(CaptureHold(hold="hold#1", amount=45)).shows(settled=55, held=0)


def test_no_tolerance_unless_the_app_sets_one() -> None:
    story = Story().given(Grant(amount=100), hold(30))
    story.when(CaptureHold(hold="hold#1", amount=31)).refused("capture_exceeds_tolerance", capturable="30")


def test_the_tolerance_counts_over_all_captures_of_a_hold() -> None:
    story = Story.of(**TOLERANT).given(Grant(amount=100), hold(40), CaptureHold(hold="hold#1", amount=40, final=False))
    story.when(CaptureHold(hold="hold#1", amount=21)).refused("capture_exceeds_tolerance", capturable="20")
    story.given(CaptureHold(hold="hold#1", amount=20)).shows(settled=40)


def test_what_a_capture_takes_beyond_its_hold_is_free_credits_then_overdraft_then_owed() -> None:
    story = Story.of(policies={"capture_tolerance_percent": 100})
    story.given(Grant(amount=50), ChangeAccount(overdraft_limit=5), hold(40))
    story.when(CaptureHold(hold="hold#1", amount=80))
    captured = {
        "hold": "hold#1",
        "charge": "charge#1",
        "amount": "80",
        "slices": slices(grant1=40),
        "excess": slices(grant1=10),
        "overdraft": "5",
        "shortfall": "25",
        "captured_total": "80",
    }
    owed = {"amount": "25", "cause": "charge#1", "against": "@revenue"}
    story.then(("hold_captured", captured), ("owed_recorded", owed))
    story.shows(settled=-5, held=0, owed=25, available=-25, overdraft_used=5)


def test_a_hold_is_extended_from_now_and_never_beyond_its_limit() -> None:
    story = Story.of(hold_limits={"default_s": 60, "max_s": 100}).given(Grant(amount=10), hold(10)).after(50)
    story.when(ExtendHold(hold="hold#1", ttl_s=30))
    story.then(("hold_extended", {"hold": "hold#1", "expires_at": "2026-01-01T00:01:20.000000Z"}))
    story.when(ExtendHold(hold="hold#1", ttl_s=5)).answered(expires_at="2026-01-01T00:01:20.000000Z")
    story.when(ExtendHold(hold="hold#1", ttl_s=600)).answered(expires_at="2026-01-01T00:01:40.000000Z")
    story.after(49).shows(held=10).after(1).shows(held=0)


def test_how_long_a_hold_may_last_depends_on_the_role() -> None:
    limits = {"default_s": 60, "max_s": 100, "roles": {"service": {"default_s": 10, "max_s": 20}}}
    story = Story.of(hold_limits=limits).given(Grant(amount=10))
    story.when(hold(1, ttl_s=21)).refused("invalid_request")
    story.when(hold(1)).answered(expires_at="2026-01-01T00:00:10.000000Z")
    story.when(CreateHold(amount=1, role="admin", ttl_s=100)).answered(expires_at="2026-01-01T00:01:40.000000Z")


def test_a_hold_past_its_limit_is_expired_although_no_timer_ran() -> None:
    story = Story().given(Grant(amount=10), hold(10, ttl_s=60)).after(60).shows(held=0, available=10)
    story.when(CaptureHold(hold="hold#1"))
    story.refused("hold_resolved")
    assert story.last is not None
    assert story.last.rejected is not None
    outcome = story.last.rejected.extra["hold"]
    assert isinstance(outcome, dict)
    assert outcome["status"] == "expired"
    assert outcome["resolved_at"] == "2026-01-01T00:01:00.000000Z"
    story.shows(settled=10, available=10)


@pytest.mark.parametrize("late", [CaptureHold, ReleaseHold])
@pytest.mark.parametrize(
    ("ending", "status", "captured"),
    [
        (CaptureHold(hold="hold#1", amount=4), "captured", "4"),
        (ReleaseHold(hold="hold#1"), "released", "0"),
        (Revoke(grant="grant#1", hold="hold#1"), "revoked", "0"),
    ],
)
def test_a_hold_resolves_once_and_whoever_is_late_is_told_how(
    late: type[CaptureHold | ReleaseHold], ending: Command, status: str, captured: str
) -> None:
    story = Story().given(Grant(amount=10), hold(10), ending)
    before = story.book.accounts["ann"]
    story.when(late(hold="hold#1")).refused("hold_resolved")
    assert story.last is not None
    assert story.last.rejected is not None
    outcome = story.last.rejected.extra["hold"]
    assert isinstance(outcome, dict)
    assert (outcome["status"], outcome["captured"]) == (status, captured)
    assert story.book.accounts["ann"] == before


def test_extending_a_hold_that_ended_is_refused() -> None:
    story = Story().given(Grant(amount=10), hold(10), ReleaseHold(hold="hold#1"))
    story.when(ExtendHold(hold="hold#1", ttl_s=10)).refused("hold_resolved")


def test_a_released_hold_gives_back_what_it_pinned() -> None:
    story = Story().given(Grant(amount=10), hold(8)).when(ReleaseHold(hold="hold#1"))
    facts = {"hold": "hold#1", "amount": "8", "captured_total": "0", "released": {"slices": slices(grant1=8)}}
    story.then(("hold_released", facts)).shows(held=0, available=10)


def test_what_is_held_can_be_captured_after_its_lot_expired() -> None:
    story = Story().given(Grant(amount=10, expires_at=Story().at(30)), hold(6, ttl_s=60)).after(40)
    story.shows(settled=6, held=6, available=0)
    story.given(CaptureHold(hold="hold#1", amount=6)).shows(settled=0, held=0)


def test_what_is_released_of_an_expired_lot_is_lost_at_once() -> None:
    story = Story().given(Grant(amount=10, expires_at=Story().at(30)), hold(6, ttl_s=60)).after(40).given(Sweep())
    story.when(CaptureHold(hold="hold#1", amount=2))
    facts = {
        "hold": "hold#1",
        "charge": "charge#1",
        "amount": "2",
        "slices": slices(grant1=2),
        "captured_total": "2",
        "released": {"broken": slices(grant1=4)},
    }
    story.then(("hold_captured", facts)).shows(settled=0, held=0, available=0)


def test_a_hold_may_name_the_one_grant_that_it_takes_from() -> None:
    story = Story().given(Grant(amount=10), Grant(amount=10))
    story.when(hold(11, grant="grant#2")).refused("insufficient_credits", available="10")
    story.when(hold(7, grant="grant#2"))
    assert story.last is not None
    assert story.told(story.last.events[0])[1]["slices"] == slices(grant2=7)
    story.when(hold(1, grant="grant_none")).refused("grant_not_found")


def test_a_partial_hold_takes_what_there_is() -> None:
    story = Story().given(Grant(amount=10), Charge(amount=4))
    story.when(hold(50, partial=True)).answered(amount="6").shows(held=6, available=0)
    story.when(hold(50, partial=True)).refused("insufficient_credits", required="1", available="0")


def test_frozen_accounts_still_capture_and_release_what_they_hold() -> None:
    story = Story().given(Grant(amount=30), hold(10), hold(10), Freeze(name="manual"))
    story.when(hold(1)).refused("account_frozen", freezes=["manual"])
    story.given(CaptureHold(hold="hold#1"), ReleaseHold(hold="hold#2")).shows(settled=20, held=0)
