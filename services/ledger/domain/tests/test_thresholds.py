"""Thresholds when the app changes them between two commands."""

from __future__ import annotations

from services.ledger.domain import events as ev
from services.ledger.domain.commands import ChangeAccount, Charge, Grant
from services.ledger.domain.tests.book import config_of
from services.ledger.domain.tests.spec import Story


def test_a_threshold_that_became_easier_to_arm_waits_for_the_next_event() -> None:
    story = Story.of(thresholds=[{"below": "50", "rearm_at": "80"}])
    story.given(Grant(amount=60), Charge(amount=20), Grant(amount=20))
    story.book.config = config_of(thresholds=[{"below": "50", "rearm_at": "55"}])
    story.when(ChangeAccount()).then()
    story.given(Charge(amount=5), Charge(amount=6))
    crossings = [event for event in story.book.events["ann"] if isinstance(event, ev.ThresholdCrossed)]
    assert [(crossing.generation, crossing.available) for crossing in crossings] == [(1, 40), (2, 49)]
