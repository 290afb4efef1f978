"""Earning, adjusting, freezing, closing, thresholds: what is set about an account and what it tells."""

from __future__ import annotations

from services.ledger.domain.commands import (
    Act,
    Adjust,
    ChangeAccount,
    Charge,
    Close,
    CreateHold,
    Erase,
    Freeze,
    Grant,
    Labels,
    ReleaseHold,
    Sweep,
    Unfreeze,
)
from services.ledger.domain.decide.accounts import FREEZES_MAX
from services.ledger.domain.state import Threshold
from services.ledger.domain.tests.spec import Story, slices

COINS = {
    "start": {"amount": "100"},
    "choose_personal": {"amount": "50", "group": "direction"},
    "choose_business": {"amount": "50", "group": "direction"},
    "registration_confirmed": {"amount": "100"},
}
DIRECTIONS = ("choose_personal", "choose_business")


def test_c1_start_direction_and_registration_make_250_never_300() -> None:
    story = Story.of(earning_rules=COINS)
    story.given(Act(action="start")).shows(settled=100)
    story.given(Act(action="choose_personal")).shows(settled=150)
    for action in ("start", *DIRECTIONS):
        story.when(Act(action=action)).refused("already_earned").shows(settled=150)
    story.given(Act(action="registration_confirmed")).shows(settled=250)
    story.when(Act(action="fly")).refused("unknown_action")


def test_c1_either_direction_earns_but_only_the_first() -> None:
    for first, second in (DIRECTIONS, DIRECTIONS[::-1]):
        story = Story.of(earning_rules=COINS).given(Act(action=first))
        story.when(Act(action=second)).refused("already_earned").shows(settled=50)


def test_earned_credits_may_expire_and_still_count_as_earned() -> None:
    story = Story.of(earning_rules={"start": {"amount": "5", "expires_after_s": 60}}).given(Act(action="start"))
    story.after(60).shows(settled=0).when(Act(action="start")).refused("already_earned")


def test_c2_subtracting_more_than_there_is_is_refused_and_leaves_the_balance() -> None:
    story = Story().given(Adjust(amount=50)).when(Adjust(amount=-51))
    story.refused("insufficient_credits", required="51", available="50").shows(settled=50)
    story.when(Adjust(amount=-20)).answered(amount="-20", settled="30")
    assert story.last is not None
    facts = {"adjustment": "adjustment#2", "amount": "-20", "slices": slices(grant1=20)}
    story.then(("balance_adjusted", facts))


def test_c3_labels_stay_with_the_event() -> None:
    labels = Labels(reference="op-7", reason="bonus", member="seat", unique_ref="once", text_digest="ab")
    story = Story().when(Adjust(amount=5, labels=labels))
    assert story.last is not None
    facts = story.told(story.last.events[-1])[1]
    assert {
        "reference": "op-7",
        "reason": "bonus",
        "member": "seat",
        "unique_ref": "once",
        "text_digest": "ab",
    }.items() <= facts.items()


def test_f1_an_account_opens_with_the_first_write_and_counts_what_came_and_went() -> None:
    story = Story().when(Grant(amount=100))
    assert story.last is not None
    assert story.told(story.last.events[0]) == ("account_opened", {"scale": 0})
    story.given(Charge(amount=30), Grant(amount=5))
    account = story.book.seen("ann")
    assert (account.settled, account.granted_total, account.spent_total) == (75, 105, 30)


def test_f2_every_event_carries_the_balances_before_and_after() -> None:
    story = Story().given(Grant(amount=100), Charge(amount=30), CreateHold(amount=20, role="service"))
    chain = [(e.before.settled, e.after.settled, e.before.held, e.after.held) for e in story.book.events["ann"]]
    assert chain == [(0, 0, 0, 0), (0, 100, 0, 0), (100, 70, 0, 0), (70, 70, 0, 20)]


def test_an_account_is_frozen_while_any_freeze_stands() -> None:
    story = Story().given(Grant(amount=10), Freeze(name="fraud"), Freeze(name="manual"))
    story.when(Freeze(name="fraud")).answered(status="frozen", freezes=["fraud", "manual"]).then()
    story.given(Unfreeze(name="fraud")).when(Charge(amount=1)).refused("account_frozen", freezes=["manual"])
    story.when(Unfreeze(name="fraud")).refused("freeze_not_found")
    story.given(Unfreeze(name="manual"), Charge(amount=1), Freeze(name="fraud"))


def test_there_is_an_end_to_how_many_freezes_stand_at_once() -> None:
    story = Story().given(*(Freeze(name=f"case-{number}") for number in range(FREEZES_MAX)))
    story.when(Freeze(name="one-more")).refused("too_many_freezes")
    story.given(Freeze(name="case-0"), Unfreeze(name="case-0"), Freeze(name="one-more"))


def test_a_frozen_account_still_gets_credits() -> None:
    story = Story.of(earning_rules=COINS).given(Freeze(name="manual"))
    story.given(Grant(amount=10), Act(action="start"), Adjust(amount=-5)).shows(settled=105)


def test_a_closed_account_takes_nothing_new_and_ends_what_is_open() -> None:
    story = Story.of(earning_rules=COINS).given(Grant(amount=10), CreateHold(amount=5, role="service"), Close())
    for command in (
        Grant(amount=1),
        Charge(amount=1),
        CreateHold(amount=1, role="service"),
        Adjust(amount=1),
        Act(action="start"),
        Freeze(name="manual"),
        ChangeAccount(overdraft_limit=1),
        Close(),
    ):
        story.when(command).refused("account_closed")
    story.given(ReleaseHold(hold="hold#1")).shows(settled=10, held=0)


def test_what_is_set_already_is_not_written_again() -> None:
    story = Story().given(ChangeAccount(zone="Asia/Riyadh", overdraft_limit=5))
    story.when(ChangeAccount(zone="Asia/Riyadh", overdraft_limit=5)).then()
    story.when(ChangeAccount(overdraft_limit=6)).then(("account_changed", {"overdraft_limit": "6"}))
    story.answered(zone="Asia/Riyadh", overdraft="6")


def test_erasing_leaves_the_books_as_they_are() -> None:
    story = Story().given(Grant(amount=10)).when(Erase()).then(("account_changed", {"erased": True})).shows(settled=10)
    story.when(Erase(), user="ben").refused("account_not_found")


def crossings(story: Story) -> list[tuple[str, int, str]]:
    """(threshold, generation, available) of all that were told so far."""
    told = (story.told(event) for event in story.book.events["ann"])
    return [(f["threshold"], f["generation"], f["available"]) for name, f in told if name == "threshold_crossed"]


def test_a_threshold_is_told_once_on_its_way_down_and_again_after_it_was_armed() -> None:
    story = Story.of(thresholds=[{"below": "20", "rearm_at": "50"}]).given(Grant(amount=100))
    assert crossings(story) == []
    story.given(Charge(amount=80))
    assert crossings(story) == []
    story.given(Charge(amount=1), Charge(amount=1))
    assert crossings(story) == [("20", 1, "19")]
    story.given(Grant(amount=31), Charge(amount=40))
    assert crossings(story) == [("20", 1, "19")], "49 is below where it is armed again"
    story.given(Grant(amount=41), Charge(amount=40))
    assert crossings(story) == [("20", 1, "19"), ("20", 2, "10")]


def test_holds_expiry_and_overdraft_count_for_thresholds_too() -> None:
    story = Story.of(thresholds=[{"below": "5"}]).given(Grant(amount=10, expires_at=Story().at(60)))
    story.given(CreateHold(amount=6, role="service", ttl_s=30))
    assert crossings(story) == [("5", 1, "4")]
    story.after(30).given(Sweep()).after(30).given(Sweep())
    assert crossings(story) == [("5", 1, "4"), ("5", 2, "0")]
    story.given(ChangeAccount(overdraft_limit=10), Charge(amount=7))
    assert crossings(story)[2:] == [("5", 3, "3")]


def test_an_account_has_thresholds_of_its_own_beside_the_apps() -> None:
    story = Story.of(thresholds=[{"below": "5"}])
    story.given(Grant(amount=20), ChangeAccount(thresholds=(Threshold(10, 10), Threshold(5, 8))), Charge(amount=16))
    assert crossings(story) == [("5", 1, "4"), ("10", 1, "4")]
    story.given(ChangeAccount(thresholds=()), Grant(amount=16), Charge(amount=11))
    assert crossings(story)[2:] == [], "it fell to 9, and the threshold at 10 is gone"


def test_a_threshold_set_when_it_is_past_already_waits_for_the_next_crossing() -> None:
    story = Story().given(Grant(amount=5), ChangeAccount(thresholds=(Threshold(10, 10),)), Charge(amount=1))
    assert crossings(story) == []
    story.given(Grant(amount=10), Charge(amount=10))
    assert crossings(story) == [("10", 1, "4")]
