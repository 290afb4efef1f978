"""Refusals in order of precedence: of several reasons, the caller is told the first of these."""

from __future__ import annotations

import pytest

from services.ledger.domain.amounts import UNITS_MAX
from services.ledger.domain.commands import (
    Act,
    Adjust,
    CaptureHold,
    ChangeAccount,
    Charge,
    Close,
    Command,
    CreateHold,
    CreditTransfer,
    ExtendHold,
    Freeze,
    Grant,
    Refund,
    ReleaseHold,
    ReturnTransfer,
    Revoke,
    Transfer,
    Unfreeze,
)
from services.ledger.domain.tests.spec import Story

OFF = {"switches": {"holds": False, "transfers": False, "actions": False}}
RULES = {"earning_rules": {"start": {"amount": "5"}}}
HUGE = UNITS_MAX


def hold(**terms: object) -> CreateHold:
    """A hold of more than there is."""
    return CreateHold(**{"amount": 999, "role": "service", **terms})  # type: ignore[arg-type]


def send(to_user: str) -> Transfer:
    """A transfer of more than there is."""
    return Transfer(to_user=to_user, amount=999)


# Each command with the reasons against it, the first to be told first; the account meets all of them at once.
STATES: dict[str, Command] = {"account_closed": Close(), "account_frozen": Freeze(name="manual")}
TABLE: list[tuple[Command, list[str]]] = [
    (Charge(amount=999), ["account_closed", "account_frozen", "insufficient_credits"]),
    (hold(), ["account_closed", "account_frozen", "insufficient_credits"]),
    (hold(grant="grant_none"), ["account_closed", "account_frozen", "grant_not_found"]),
    (hold(ttl_s=10**6, grant="grant_none"), ["invalid_request"]),
    (send("ben"), ["account_closed", "account_frozen", "insufficient_credits"]),
    (send("ann"), ["invalid_request"]),
    (Grant(amount=HUGE, expires_at=0), ["account_closed", "invalid_request"]),
    (Act(action="none"), ["unknown_action"]),
    (Act(action="start"), ["account_closed", "already_earned"]),
    (Adjust(amount=-999), ["account_closed", "insufficient_credits"]),
    (Freeze(name="other"), ["account_closed"]),
    (ChangeAccount(overdraft_limit=1), ["account_closed"]),
    (Close(), ["account_closed"]),
    (CreditTransfer(transfer="transfer_x", from_user="ben", lots=()), ["account_closed"]),
    (Unfreeze(name="other"), ["freeze_not_found"]),
    (CaptureHold(hold="hold_none", amount=999), ["hold_not_found"]),
    (ReleaseHold(hold="hold_none"), ["hold_not_found"]),
    (ExtendHold(hold="hold_none", ttl_s=1), ["hold_not_found"]),
    (CaptureHold(hold="hold#1", amount=999), ["hold_resolved"]),
    (CaptureHold(hold="hold#2", amount=999), ["capture_exceeds_tolerance"]),
    (CaptureHold(hold="hold#3"), ["invalid_request"]),
    (Refund(charge="charge_none", amount=999), ["charge_not_found"]),
    (Refund(charge="charge#1", amount=999), ["refund_exceeds_charge"]),
    (Revoke(grant="grant_none", amount=999, policy="block", hold="hold_none"), ["grant_not_found"]),
    (Revoke(grant="grant#1", amount=999, policy="block", hold="hold_none"), ["grant_spent"]),
    (Revoke(grant="grant#1", amount=999, policy="debt", hold="hold_none"), ["invalid_request"]),
    (Revoke(grant="grant#1", amount=9, policy="debt", hold="hold_none"), ["hold_not_found"]),
    (ReturnTransfer(transfer="transfer_none", refusal="account_closed"), ["transfer_not_found"]),
]


def busy() -> Story:
    """An account with a bit of everything."""
    story = Story.of(**RULES).given(Grant(amount=100), Act(action="start"), Charge(amount=10))
    story.given(CreateHold(amount=10, role="service"), ReleaseHold(hold="hold#1"))
    story.given(CreateHold(amount=10, role="service"), CreateHold(amount=10, role="service"))
    return story.given(CaptureHold(hold="hold#3", final=False))


@pytest.mark.parametrize(
    ("command", "codes"), TABLE, ids=lambda value: "-".join(value) if isinstance(value, list) else type(value).__name__
)
def test_of_several_reasons_the_first_is_told(command: Command, codes: list[str]) -> None:
    for place, code in enumerate(codes):
        story = busy()
        for state in reversed(codes[place:]):
            if state in STATES:
                story.given(STATES[state])
        before = story.book.accounts["ann"]
        story.when(command).refused(code)
        assert story.book.accounts["ann"] == before, "a refusal changed the account"


@pytest.mark.parametrize(
    ("command", "feature"), [(hold(), "holds"), (send("ben"), "transfers"), (Act(action="start"), "actions")]
)
def test_what_an_app_has_switched_off_is_refused_before_anything_else(command: Command, feature: str) -> None:
    story = Story.of(**OFF).given(Close())
    story.when(command).refused("feature_disabled", feature=feature)


def test_holds_that_exist_can_be_ended_after_holds_were_switched_off() -> None:
    story = Story().given(Grant(amount=10), CreateHold(amount=5, role="service"), CreateHold(amount=5, role="service"))
    story.book.config = Story.of(**OFF).book.config
    story.given(CaptureHold(hold="hold#1"), ReleaseHold(hold="hold#2")).shows(settled=5, held=0)


@pytest.mark.parametrize("more", [Grant(amount=1), Adjust(amount=1)])
def test_a_balance_has_a_ceiling(more: Command) -> None:
    story = Story().given(Grant(amount=UNITS_MAX)).shows(settled=10**15)
    story.when(more).refused("invalid_request").shows(settled=10**15)
    story.given(Charge(amount=UNITS_MAX)).shows(settled=0)


def test_a_refusal_says_what_is_needed_what_there_is_and_where_to_get_more() -> None:
    story = Story.of(policies={"top_up_url": "https://example.org/buy"}).given(Grant(amount=3))
    story.when(Charge(amount=5))
    story.refused("insufficient_credits", required="5", available="3", top_up_url="https://example.org/buy")


def test_a_refused_command_still_lets_time_do_its_work() -> None:
    story = Story().given(Grant(amount=5, expires_at=Story().at(10))).after(10).when(Charge(amount=1))
    assert story.last is not None
    assert [story.told(event)[0] for event in story.last.due] == ["lot_expired"]
    assert story.book.accounts["ann"].settled == 0
