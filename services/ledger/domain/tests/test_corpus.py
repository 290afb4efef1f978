"""Every version of every event that was ever written reads back, writes the same bytes, and folds."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

import libs.events
from libs.events.contracts.base import decode as decode_published
from libs.events.contracts.base import encode as encode_published
from libs.events.contracts.base import model_of
from libs.events.contracts.ledger import events as published
from services.ledger.domain import events as ev
from services.ledger.domain.budgets import Budget, Budgets, Count
from services.ledger.domain.codec import EVENT_TYPES, decode, encode
from services.ledger.domain.evolve import evolve
from services.ledger.domain.postings import postings
from services.ledger.domain.state import (
    Account,
    Allowance,
    Crossing,
    Hold,
    HoldTerms,
    Lot,
    LotTerms,
    Phase,
    Profile,
    Slice,
)

CORPUS = Path(libs.events.__path__[0]) / "corpus"


def type_of(path: Path) -> str:
    """The type of a specimen: `<type>.json`, or `<type>+<what>.json` for fields that were added to it later."""
    return path.stem.partition("+")[0]


SPECIMENS = [path for path in sorted(CORPUS.glob("ledger.*.json")) if type_of(path) in EVENT_TYPES]
SCALE = 2
PLENTY = 10**9


def account_for(event: ev.AccountEvent, payload: str) -> Account:
    """An account as rich as it takes for the event to happen to it."""
    lots = {}
    for grant in re.findall(r"grant_\w{28}", payload):
        terms = LotTerms(grant, PLENTY, "promo", 100, 0, 0, None)
        lots[grant] = Lot(terms, PLENTY, pinned=PLENTY // 2, revoking=PLENTY // 4)
        if getattr(event, "scheduled", False) or getattr(event, "started", None):
            lots[grant].phase = Phase.SCHEDULED
    parts = tuple(Slice(grant, PLENTY // 2) for grant in lots)
    holds = {id_: Hold(HoldTerms(id_, PLENTY, 0, PLENTY), parts, PLENTY) for id_ in re.findall(r"hold_\w{28}", payload)}
    account = Account(Profile("coins", "ann", "coins", SCALE, 0), version=event.account_version - 1)
    crossings = {int(level): Crossing(1, armed=False) for level in event.rearmed}
    return replace(
        account,
        lots=lots,
        holds=holds,
        overdraft_used=PLENTY,
        crossings=crossings,
        budgets=budgets_for(event),
        allowance=Allowance("pro", PLENTY, 0, PLENTY, 0, lots=tuple(lots)),
    )


def budgets_for(event: ev.AccountEvent) -> Budgets | None:
    """The budgets that an event counts for."""
    if isinstance(event, ev.BudgetExceeded):
        return Budgets((), {(event.budget, event.member): Count(event.period_start, event.period_end)})
    uses = [] if isinstance(event, ev.BudgetSet) else getattr(event, "budgets", ())
    return Budgets(tuple(Budget(use.name, "day", PLENTY) for use in uses)) if uses else None


def test_every_event_has_a_specimen() -> None:
    assert {type_of(path) for path in SPECIMENS} == set(EVENT_TYPES)


@pytest.mark.parametrize("path", SPECIMENS, ids=lambda path: path.stem)
def test_a_stored_event_reads_back_and_writes_the_same_bytes(path: Path) -> None:
    payload = path.read_bytes()
    event = decode(type_of(path), payload, at=1)
    assert encode(event, SCALE) == payload
    assert event.at == 1


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_the_specimens_of_an_event_use_every_field_of_it(name: str) -> None:
    model = model_of(name)
    assert model is not None
    told = [model.model_validate_json(path.read_bytes()) for path in SPECIMENS if type_of(path) == name]
    assert {field for specimen in told for field in specimen.model_fields_set} == set(model.model_fields)


@pytest.mark.parametrize("path", SPECIMENS, ids=lambda path: path.stem)
def test_a_consumer_reads_what_the_ledger_stores(path: Path) -> None:
    told = decode_published(type_of(path), path.read_bytes())
    assert told is not None
    assert decode_published(type_of(path), encode_published(told)) == told
    newer = path.read_bytes()[:-1] + b',"added_later":{"by":"a newer ledger"}}'
    assert decode_published(type_of(path), newer) == told


@pytest.mark.parametrize("path", SPECIMENS, ids=lambda path: path.stem)
def test_a_stored_event_still_folds(path: Path) -> None:
    payload = path.read_bytes()
    event = decode(type_of(path), payload, at=1)
    assert sum(amount for _, amount in postings(event)) == 0
    if isinstance(event, ev.AccountEvent):
        after = evolve(account_for(event, payload.decode()), event)
        assert after.version == event.account_version
        assert (after.settled, after.held, after.owed) == (event.after.settled, event.after.held, event.after.owed)
    else:
        assert issubclass(EVENT_TYPES[type_of(path)], ev.AppEvent)
        assert isinstance(decode_published(type_of(path), payload), published.AppEvent)
