"""Events of the domain and their published contracts: the same names, fields, order and optionality."""

from __future__ import annotations

from dataclasses import MISSING, fields, is_dataclass
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from libs.events.contracts.base import model_of, registered
from libs.events.contracts.ledger import events as published
from services.ledger.domain import events as ev
from services.ledger.domain.codec import EVENT_TYPES

FILLED_IN_WHEN_RECORDED = {"asset", "account_version", "config_version", "before", "after"}
TEXT: dict[Any, str] = {ev.Units: "text", ev.Time: "text", str: "text", int: "int", bool: "bool"}


def shape(hint: Any) -> object:
    """What JSON makes of an annotation, the same for both sides."""
    if hint in TEXT:
        return TEXT[hint]
    origin = get_origin(hint)
    if origin is Literal:
        return ("one of", frozenset(get_args(hint)))
    if origin in (Union, UnionType):
        return ("or null", shape(next(arg for arg in get_args(hint) if arg is not NoneType)))
    if origin is tuple:
        return ("list of", shape(get_args(hint)[0]))
    if hasattr(hint, "__metadata__"):
        return shape(origin or hint.__origin__)
    return ("object", domain_fields(hint) if is_dataclass(hint) else contract_fields(hint))


def domain_fields(cls: Any) -> tuple[tuple[str, object, bool], ...]:
    """(name, shape, required) of a domain class, as its payload has them."""
    hints = get_type_hints(cls)
    return tuple(
        (f.name, shape(hints[f.name]), f.name in FILLED_IN_WHEN_RECORDED or f.default is MISSING)
        for f in fields(cls)
        if f.init and f.name != "at"
    )


def contract_fields(model: type[BaseModel]) -> tuple[tuple[str, object, bool], ...]:
    """(name, shape, required) of a contract."""
    hints = get_type_hints(model)
    return tuple((name, shape(hints[name]), field.is_required()) for name, field in model.model_fields.items())


def test_every_event_of_the_domain_is_published_and_no_other() -> None:
    models = {model.TYPE for model in registered("ledger") if model.KIND == "event"}
    assert models == set(EVENT_TYPES)


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_an_event_and_its_contract_have_the_same_fields(name: str) -> None:
    model = model_of(name)
    assert model is not None
    assert contract_fields(model) == domain_fields(EVENT_TYPES[name])


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_a_field_left_out_means_the_same_to_both_sides(name: str) -> None:
    model = model_of(name)
    assert model is not None
    for f in fields(EVENT_TYPES[name]):
        if not f.init or f.name == "at" or f.name in FILLED_IN_WHEN_RECORDED or f.default is MISSING:
            continue
        default = model.model_fields[f.name].default
        told = int(default) if isinstance(default, str) and default.isdigit() else default
        assert told == f.default, f.name


def test_the_base_of_all_account_events_is_published_too() -> None:
    assert contract_fields(published.AccountEvent) == domain_fields(ev.AccountEvent)
