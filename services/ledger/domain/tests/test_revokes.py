"""Revokes: the free part now, the pinned part on release, the spent part by policy."""

from __future__ import annotations

import pytest

from services.ledger.domain.commands import (
    CaptureHold,
    Charge,
    CreateHold,
    Freeze,
    Grant,
    ReleaseHold,
    Revoke,
    Sweep,
)
from services.ledger.domain.state import RevokePolicy
from services.ledger.domain.tests.spec import Story, slices


def third_each() -> Story:
    """A grant of 90: 30 spent, 30 held, 30 free."""
    return Story().given(Grant(amount=90, source="paid"), Charge(amount=30), CreateHold(amount=30, role="service"))


def revoked(**amounts: str) -> dict[str, str]:
    """What a revoke of the first grant says of itself."""
    return {"revoke": "revoke#1", "grant": "grant#1", "source": "paid", **amounts}


def test_debt_takes_the_free_part_waits_for_the_held_one_and_the_spent_one_is_owed() -> None:
    story = third_each().when(Revoke(grant="grant#1", policy="debt"))
    facts = revoked(amount="90", policy="debt", taken="30", pending="30", debt="30")
    owed = {"amount": "30", "cause": "revoke#1", "against": "@issued/revoked"}
    story.then(("grant_revoked", facts), ("owed_recorded", owed)).shows(settled=30, held=30, owed=30)
    story.when(ReleaseHold(hold="hold#1"))
    taken = {"reclaimed": slices(grant1=30)}
    story.then(("hold_released", {"hold": "hold#1", "amount": "30", "captured_total": "0", "released": taken}))
    story.shows(settled=0, held=0, owed=30)


def test_absorb_lets_go_of_what_was_spent() -> None:
    story = third_each().when(Revoke(grant="grant#1", policy="absorb"))
    story.then(("grant_revoked", revoked(amount="90", policy="absorb", taken="30", pending="30", absorbed="30")))
    story.shows(settled=30, owed=0)


def test_block_refuses_when_anything_was_spent() -> None:
    story = third_each()
    story.when(Revoke(grant="grant#1", policy="block")).refused("grant_spent", spent="30").shows(settled=60)
    Story().given(Grant(amount=9), Revoke(grant="grant#1", policy="block")).shows(settled=0)


@pytest.mark.parametrize(("policy", "settled"), [("debt", 0), ("absorb", 30)])
def test_the_app_sets_the_policy_when_none_is_named(policy: RevokePolicy, settled: int) -> None:
    story = Story.of(policies={"revoke": policy}).given(Grant(amount=30), Charge(amount=30), Grant(amount=30))
    story.given(Revoke(grant="grant#1"), Grant(amount=1)).shows(owed=0 if policy == "absorb" else 29)


@pytest.mark.parametrize(("policy", "owed"), [("debt", 60), ("absorb", 0)])
def test_what_is_captured_after_the_revoke_follows_its_policy(policy: RevokePolicy, owed: int) -> None:
    story = third_each().given(Revoke(grant="grant#1", policy=policy), CaptureHold(hold="hold#1"))
    story.shows(settled=0, held=0, owed=owed)


def test_a_part_is_taken_from_the_free_credits_first() -> None:
    story = third_each().given(Revoke(grant="grant#1", amount=20, policy="debt")).shows(settled=40, held=30, owed=0)
    story.given(Revoke(grant="grant#1", amount=25, policy="debt")).shows(settled=30, held=30, owed=0)
    story.given(ReleaseHold(hold="hold#1")).shows(settled=15, available=15)


def test_what_a_revoke_waits_for_already_is_not_claimed_twice() -> None:
    story = Story().given(Grant(amount=60), Charge(amount=30), CreateHold(amount=30, role="service"))
    story.given(Revoke(grant="grant#1", amount=10, policy="debt")).shows(settled=30, owed=0)
    story.when(Revoke(grant="grant#1", amount=40, policy="debt")).answered(taken="0", pending="20", debt="20")
    story.given(ReleaseHold(hold="hold#1")).shows(settled=0, owed=20)


def test_a_second_revoke_finds_only_what_the_first_left() -> None:
    story = third_each().given(Revoke(grant="grant#1", policy="debt"))
    story.when(Revoke(grant="grant#1", policy="debt")).refused("grant_spent").shows(owed=30)
    story.given(ReleaseHold(hold="hold#1"))
    story.when(Revoke(grant="grant#1", policy="absorb")).refused("grant_spent").shows(owed=30, settled=0)


def test_a_revoke_may_end_the_hold_that_reserved_the_grant_in_one_step() -> None:
    story = third_each().when(Revoke(grant="grant#1", policy="debt", hold="hold#1"))
    released = {"hold": "hold#1", "amount": "30", "captured_total": "0", "released": {"slices": slices(grant1=30)}}
    owed = {"amount": "30", "cause": "revoke#1", "against": "@issued/revoked"}
    story.then(
        ("hold_released", {**released, "cause": "revoked"}),
        ("grant_revoked", {**revoked(amount="90", policy="debt", taken="60", debt="30"), "hold": "hold#1"}),
        ("owed_recorded", owed),
    ).shows(settled=0, held=0, owed=30)


def test_what_expired_under_the_hold_is_lost_and_not_owed() -> None:
    story = Story().given(Grant(amount=30, expires_at=Story().at(10)), CreateHold(amount=30, role="service"))
    story.after(20).given(Sweep()).shows(settled=30)
    story.given(Revoke(grant="grant#1", policy="debt", hold="hold#1")).shows(settled=0, held=0, owed=0)


def test_a_revoke_with_a_hold_that_is_not_there_changes_nothing() -> None:
    third_each().when(Revoke(grant="grant#1", hold="hold_none")).refused("hold_not_found").shows(settled=60, held=30)


def test_a_revoke_with_a_hold_that_has_ended_says_how() -> None:
    story = third_each().given(ReleaseHold(hold="hold#1"))
    story.when(Revoke(grant="grant#1", hold="hold#1")).refused("hold_resolved").shows(settled=60, held=0)
    story.given(CreateHold(amount=5, role="service", ttl_s=10)).after(10)
    story.when(Revoke(grant="grant#1", hold="hold#2")).refused("hold_resolved").shows(settled=60, held=0)
    assert story.last is not None
    assert story.last.rejected is not None
    assert story.last.rejected.extra["hold"]["status"] == "expired"  # type: ignore[index]


def test_a_grant_that_has_not_started_can_be_revoked() -> None:
    story = Story().given(Grant(amount=30, effective_at=Story().at(60)))
    story.given(Revoke(grant="grant#1", amount=10, policy="debt")).after(60).shows(settled=20, owed=0)


def test_no_more_than_was_granted_can_be_revoked() -> None:
    story = third_each()
    story.when(Revoke(grant="grant#1", amount=91, policy="debt")).refused("invalid_request")
    story.when(Revoke(grant="grant_none", policy="debt")).refused("grant_not_found")


def test_a_freeze_does_not_prevent_a_revoke() -> None:
    third_each().given(Freeze(name="manual"), Revoke(grant="grant#1", policy="absorb")).shows(settled=30)
