"""The items of a batch: every command that callers may send, as one JSON object with its `type` and its `key`."""

from __future__ import annotations

from functools import reduce
from operator import or_
from typing import Annotated, Any, Literal, TypeAlias, cast

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, create_model
from pydantic_core import to_json

from libs.events.contracts.ledger import commands as sent
from libs.events.contracts.ledger.fields import User
from libs.service.bodies import parse_body
from libs.service.problems import InvalidRequest, Problem, invalid
from services.ledger.handlers.commands import KINDS, Kind, Origin, request_for
from services.ledger.requests import Request

Key = Annotated[str, StringConstraints(pattern=r"^[\x21-\x7e](?:[\x20-\x7e]{0,198}[\x21-\x7e])?$")]
_BESIDE = frozenset({"type", "key"})
"""Fields of an item that are not fields of its command."""


class Item(sent.Body):
    """A command in a batch: its type, its own idempotency key, and its fields."""

    type: str
    key: Key


def _model(kind: Kind) -> type[Item]:
    """The fields of a kind as Kafka takes them: with the id that HTTP has in its path."""
    body: type[BaseModel] = kind.contract or kind.body
    fields: dict[str, Any] = {"type": (Literal[kind.name], ...)}
    if kind.id_field is not None and kind.id_field not in body.model_fields:
        fields[kind.id_field] = (User, ...)
    name = "".join(word.capitalize() for word in kind.name.split("."))
    bases: Any = (Item, body)
    return cast("type[Item]", create_model(f"{name}Item", __base__=bases, __doc__=body.__doc__, **fields))


MODELS = {name: _model(kind) for name, kind in KINDS.items()}
"""What an item of each type holds."""
AnyItem: TypeAlias = Annotated[reduce(or_, MODELS.values()), Field(discriminator="type")]  # type: ignore[valid-type]


class BatchBody(BaseModel):
    """Commands in order; with `atomic`, all of them are done or none."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    atomic: bool = False
    commands: list[AnyItem] = Field(min_length=1)


class _LooseBody(BaseModel):
    """The same, of whatever items."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    atomic: bool = False
    commands: list[Any] = Field(min_length=1)


def parse_batch(raw: bytes, items_max: int) -> tuple[bool, list[Item | Problem]]:
    """Whether it is atomic, and its items; what is wrong with an item stands in its place.

    Raises :class:`InvalidRequest` for a body that is no batch, or has more than `items_max` items.
    """
    items: list[Item | Problem]
    try:
        body = BatchBody.model_validate_json(raw)
        atomic, items = body.atomic, list(body.commands)
    except ValidationError:
        loose = parse_body(_LooseBody, raw)
        atomic = loose.atomic
        # They are many only if the body is long, which its own limit bounds; yet each of them would be looked at.
        items = [] if len(loose.commands) > items_max else [_loose_item(value) for value in loose.commands]
        if not items:
            raise too_many(items_max) from None
    if len(items) > items_max:
        raise too_many(items_max)
    return atomic, items


def too_many(items_max: int) -> InvalidRequest:
    """What is wrong with more commands at once than there may be."""
    return invalid("too_many", "commands", f"A batch may have {items_max} commands.")


def _loose_item(value: Any) -> Item | Problem:
    if not isinstance(value, dict):
        return invalid("not_an_object", "", "A command is an object.")
    name = value.get("type")
    if name is None:
        return invalid("missing_field", "type", "A command has a type.")
    if not isinstance(name, str) or name not in MODELS:
        return invalid("not_one_of", "type", f"One of {', '.join(MODELS)}.")
    return parse_item(name, to_json(value))


def parse_item(name: str, raw: bytes) -> Item | Problem:
    """The item of this type that a JSON object holds, or what is wrong with it."""
    try:
        return parse_body(MODELS[name], raw)
    except InvalidRequest as problem:
        return problem


def request_of(item: Item, origin: Origin) -> Request:
    """The writer's request for an item; the same as for its command by any other door."""
    return request_for(KINDS[item.type], item, origin, key=item.key, beside=_BESIDE)
