"""Sentences and steps, word for word; that sums add up is a law that every other test of the rules proves."""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any

import pytest

from services.ledger.domain import events as ev
from services.ledger.domain.codec import EVENT_TYPES
from services.ledger.domain.explain.order import reasons
from services.ledger.domain.explain.pricing import steps
from services.ledger.domain.explain.reasons import reason_of
from services.ledger.domain.state import LotTerms

PRICED: dict[str, Any] = {
    "version": 3,
    "model": "large",
    "lines": [
        {"unit": "input", "count": "1500", "unit_price": "0.003", "amount": "0.0045"},
        {"unit": "output", "count": "20", "unit_price": "0.006", "amount": "0.00012"},
    ],
    "markup_percent": "10",
    "minimum": "0.02",
}


def test_a_price_step_by_step() -> None:
    assert [(step.why, step.amount) for step in steps(PRICED, 2)] == [
        ("line", "0.0045"),
        ("line", "0.00462"),
        ("mark_up", "0.005082"),
        ("rounded_up", "0.01"),
        ("minimum", "0.02"),
    ]
    plain = {"version": 1, "lines": [{"unit": "quantity", "count": "2", "unit_price": "5", "amount": "10"}]}
    assert [(step.why, step.amount) for step in steps(plain, 0)] == [("line", "10")]
    assert steps({"version": 1, "lines": [], "minimum": "1"}, 0) == [], "what used nothing costs nothing"


def lot(number: int, **terms: Any) -> LotTerms:
    chosen = {"source": "promo", "priority": 100, "granted_at": 0, "expires_at": None, **terms}
    return LotTerms(f"grant_{number}", 1, effective_at=0, **chosen)


@pytest.mark.parametrize(
    ("first", "second", "service", "why"),
    [
        (lot(1, scope=("chat",), priority=9), lot(2), "chat", "scoped_first"),
        (lot(1, scope=("chat",)), lot(2, scope=("chat",), priority=101), "chat", "priority"),
        (lot(1, expires_at=5), lot(2), None, "expires_first"),
        (lot(1), lot(2, source="paid"), None, "unpaid_first"),
        (lot(1), lot(2, granted_at=1), None, "older"),
        (lot(1), lot(2), None, "same_moment"),
    ],
)
def test_why_one_lot_comes_before_another(first: LotTerms, second: LotTerms, service: str | None, why: str) -> None:
    assert [reason.why for reason in reasons([first, second], service)] == [why, "last"]
    assert reasons([], service) == []


@pytest.mark.parametrize("kind", [kind for kind in EVENT_TYPES.values() if issubclass(kind, ev.AccountEvent)])
def test_every_event_has_a_reason(kind: type[ev.AccountEvent]) -> None:
    """Also one that nobody has thought of a sentence for."""
    needed = {each.name for each in fields(kind) if each.default is MISSING and each.default_factory is MISSING}
    values: dict[str, Any] = dict.fromkeys(needed, 5)
    nested = ev.NewLot("grant_1", ev.Units(5), ev.Units(5), "promo", 1, ev.Time(0))
    values |= {"lot": nested} if "lot" in needed else {}
    values |= {"cause": "charge_1"} if "cause" in needed else {}
    reason = reason_of(kind(**values), 2)
    assert reason.why.replace("_", "").isalpha()
    assert reason.sentence[0].isupper() or reason.sentence[0].isdigit()
    assert reason.sentence.endswith(".")
