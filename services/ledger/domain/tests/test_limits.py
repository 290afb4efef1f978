"""What keeps one account from becoming so heavy that everybody waits for it, or that its events cannot be published."""

from __future__ import annotations

import pytest

from services.ledger.domain import evolve, state
from services.ledger.domain.codec import encode
from services.ledger.domain.commands import (
    Act,
    Adjust,
    CaptureHold,
    Charge,
    CreateHold,
    CreditTransfer,
    Grant,
    IncomingLot,
    Refund,
    ReleaseHold,
    Revoke,
    Sweep,
    Transfer,
)
from services.ledger.domain.decide import decide
from services.ledger.domain.decide.granting import GIFTS, NEW_LOTS_MAX
from services.ledger.domain.decide.recorder import SLICES_MAX
from services.ledger.domain.postings import CLEARING
from services.ledger.domain.state import CostBasis, Source
from services.ledger.domain.tests.book import DAY, START_US
from services.ledger.domain.tests.spec import Story

PUBLISHED_MAX = 1_000_000
"""Bytes of a message that every Kafka takes by default, less what the headers need."""
LONG_SCOPE = tuple(f"{number:0>64}" for number in range(20))
PAID_FOR: list[Source] = ["paid", "code", "refund", "opening"]


def limited(lots: int = 1000, holds: int = 1000) -> Story:
    """A story of an app with these limits."""
    rules = {"start": {"amount": "1"}}
    return Story.of(policies={"lots_max": lots}, hold_limits={"open_max": holds}, earning_rules=rules)


def fragmented(lots: int, scope: tuple[str, ...] = (), expires_at: int | None = None) -> Story:
    """A story of an account with many lots of 1."""
    basis = CostBasis(10**15, "EUR")
    lot = IncomingLot(amount=1, source="paid", priority=100, expires_at=expires_at, scope=scope, cost_basis=basis)
    story = limited(lots=10_000)
    # They come from outside of what the story tells.
    story.book.laws.totals.update({"elsewhere": -lots, CLEARING: lots})
    return story.given(CreditTransfer(transfer="transfer#0", from_user="ben", lots=(lot,) * lots))


def sizes(story: Story) -> list[int]:
    """Bytes of the last command's events."""
    assert story.last is not None
    return [len(encode(event, 2)) for event in story.last.events]


def test_open_holds_are_limited_and_ended_ones_do_not_count() -> None:
    story = limited(holds=2).given(Grant(amount=10), CreateHold(amount=1, role="service", ttl_s=10))
    story.given(CreateHold(amount=1, role="service", ttl_s=60))
    one_more = CreateHold(amount=1, role="service")
    story.when(one_more).refused("too_many_holds", holds=2, limit=2)
    story.after(10).when(one_more).shows(held=2)
    story.when(one_more).refused("too_many_holds").given(ReleaseHold(hold="hold#2"), one_more)


@pytest.mark.parametrize("source", sorted(GIFTS))
def test_gifts_are_refused_where_an_account_has_too_many_lots(source: Source) -> None:
    story = limited(lots=2).given(Grant(amount=1, source="paid"), Grant(amount=1, source=source))
    story.when(Grant(amount=1, source=source)).refused("too_many_lots", lots=2, limit=2)
    story.when(Act(action="start")).refused("too_many_lots")
    story.given(Charge(amount=1), Grant(amount=1, source=source))


@pytest.mark.parametrize("source", PAID_FOR)
def test_what_was_paid_for_is_never_refused(source: Source) -> None:
    story = limited(lots=1).given(Grant(amount=1), Grant(amount=1, source=source), Adjust(amount=1))
    story.given(Charge(amount=3), Grant(amount=1, source=source), Refund(charge="charge#1")).shows(settled=4)


def test_a_transfer_that_brings_too_many_lots_is_returned() -> None:
    story = limited(lots=2).given(Grant(amount=1), Grant(amount=1)).given(Grant(amount=1), user="ben")
    assert story.book.transfer("ann", "ben", 2).body["status"] == "returned"
    assert story.book.transfer("ann", "ben", 1).body["status"] == "completed"
    story.shows(settled=1).shows(user="ben", settled=2)


def test_what_would_take_from_too_many_lots_at_once_is_refused() -> None:
    story = fragmented(SLICES_MAX + 1)
    too_much = SLICES_MAX + 1
    for command in (
        Charge(amount=too_much),
        CreateHold(amount=too_much, role="service"),
        Transfer(to_user="ben", amount=too_much),
        Adjust(amount=-too_much),
    ):
        story.when(command).refused("too_many_lots", limit=SLICES_MAX)
    story.given(Charge(amount=SLICES_MAX)).shows(settled=1)


def test_every_event_can_be_published() -> None:
    story = fragmented(SLICES_MAX)
    story.when(Transfer(to_user="carl", amount=SLICES_MAX))
    assert max(sizes(story)) < PUBLISHED_MAX
    arrived = story.book.arrive("ann", story.id("transfer#1"))
    assert max(len(encode(event, 2)) for event in arrived.events) < PUBLISHED_MAX
    story = fragmented(SLICES_MAX, expires_at=START_US + DAY)
    story.given(CreateHold(amount=SLICES_MAX, role="service")).given(Grant(amount=1, source="paid"))
    story.when(CaptureHold(hold="hold#1", amount=1))
    assert max(sizes(story)) < PUBLISHED_MAX


def test_a_refund_that_would_make_too_many_lots_is_made_in_parts() -> None:
    story = fragmented(NEW_LOTS_MAX + 1, LONG_SCOPE, START_US + DAY)
    story.given(Charge(amount=NEW_LOTS_MAX + 1, service=LONG_SCOPE[0])).after(2 * 86_400)
    story.when(Refund(charge="charge#1")).refused("too_many_lots", limit=NEW_LOTS_MAX)
    story.when(Refund(charge="charge#1", amount=NEW_LOTS_MAX))
    assert max(sizes(story)) < PUBLISHED_MAX
    story.given(Refund(charge="charge#1")).shows(settled=NEW_LOTS_MAX + 1)


def test_revoked_and_spent_lots_do_not_count() -> None:
    story = limited(lots=1).given(Grant(amount=1), Revoke(grant="grant#1"), Grant(amount=1), Charge(amount=1))
    story.given(Grant(amount=1)).when(Grant(amount=1)).refused("too_many_lots")


def test_what_is_due_at_once_is_worked_through_without_looking_at_everything_each_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    story = fragmented(200, expires_at=START_US + DAY)
    looks: list[None] = []

    def counted(account: state.Account) -> int | None:
        looks.append(None)
        return state.next_due(account)

    monkeypatch.setattr(evolve, "next_due", counted)
    story.book.advance(2 * 86_400)
    outcome = decide(story.book.account("ann"), Sweep(), story.book.context())
    assert (len(outcome.due), outcome.account.due_at) == (200, None)
    assert len(looks) == 1
