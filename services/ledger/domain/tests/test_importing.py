"""Operations of another system: kept as history, moving nothing."""

from __future__ import annotations

from services.ledger.domain.commands import Act, Charge, Close, Freeze, Grant, ImportOperation
from services.ledger.domain.tests.book import DAY, START_US
from services.ledger.domain.tests.spec import Story

RULES = {
    "start": {"amount": "100"},
    "personal": {"amount": "50", "group": "way"},
    "business": {"amount": "50", "group": "way"},
}
YESTERDAY = START_US - DAY


def test_history_is_told_and_moves_nothing() -> None:
    story = Story.of()
    story.when(ImportOperation(kind="usage", occurred_at=YESTERDAY, amount=-5, balance_after=12)).then(
        ("account_opened", {"scale": 0}),
        (
            "operation_imported",
            {
                "operation": "operation#1",
                "kind": "usage",
                "occurred_at": "2025-12-31T00:00:00.000000Z",
                "amount": "-5",
                "balance_after": "12",
            },
        ),
    )
    story.shows(settled=0, held=0, owed=0)
    story.given(Grant(amount=10), Charge(amount=10)).shows(settled=0)


def test_what_was_earned_there_is_not_earned_again() -> None:
    story = Story.of(earning_rules=RULES)
    story.given(ImportOperation(kind="bonus", occurred_at=YESTERDAY, amount=50, action="personal"))
    story.when(Act(action="business")).refused("already_earned")
    story.given(Act(action="start")).shows(settled=100)


def test_no_state_of_the_account_refuses_history() -> None:
    story = Story.of().given(Grant(amount=1), Freeze(name="manual"), Close())
    story.given(ImportOperation(kind="usage", occurred_at=YESTERDAY, amount=-5)).shows(settled=1)


def test_what_has_not_happened_or_was_never_a_rule_is_refused() -> None:
    story = Story.of(earning_rules=RULES)
    story.when(ImportOperation(kind="usage", occurred_at=START_US + 1, amount=-5)).refused("invalid_request")
    story.when(ImportOperation(kind="bonus", occurred_at=YESTERDAY, amount=5, action="fly")).refused("unknown_action")
