"""What contracts are made of: frozen pydantic models under the names of their messages.

A name is `<service>.<what>.v<n>`: a past participle for events (`ledger.credits_granted.v1`), an imperative for
commands (`ledger.grant_credits.v1`). Commands are read strictly; events are read tolerantly (a field this reader does
not know is left out), so that a producer may add optional fields before its consumers know them. A field at its default
is not written, so a default belongs to the contract and never changes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import ClassVar, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from libs.events.envelope import InvalidMessage
from libs.events.upcasters import upcast

TYPE_NAME = re.compile(r"([a-z]+)\.([a-z0-9_]+)\.v([1-9][0-9]*)")


class Contract(BaseModel):
    """The payload of a message: frozen, written in the order of declaration, without fields at their default."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    TYPE: ClassVar[str]
    KIND: ClassVar[Literal["event", "command"]]


class Event(Contract):
    """What has happened; told on `<service>.events`."""

    KIND: ClassVar[Literal["event", "command"]] = "event"


class Command(Contract):
    """What somebody wants a service to do; sent on `<service>.commands`."""

    KIND: ClassVar[Literal["event", "command"]] = "command"


AnyContract = TypeVar("AnyContract", bound=Contract)
_REGISTRY: dict[str, type[Contract]] = {}


def contract(name: str) -> Callable[[type[AnyContract]], type[AnyContract]]:
    """Class decorator: register a model under the name of its message. A name belongs to one model for ever."""
    if TYPE_NAME.fullmatch(name) is None:
        raise ValueError(f"{name} is not <service>.<what>.v<n>")

    def register(model: type[AnyContract]) -> type[AnyContract]:
        if name in _REGISTRY:
            raise ValueError(f"{name} is registered already")
        model.TYPE = name
        _REGISTRY[name] = model
        return model

    return register


def model_of(name: str) -> type[Contract] | None:
    """The model registered under `name`, if any."""
    return _REGISTRY.get(name)


def registered(service: str | None = None) -> Iterator[type[Contract]]:
    """All registered models (of one service), by name."""
    for name in sorted(_REGISTRY):
        if service is None or name.startswith(service + "."):
            yield _REGISTRY[name]


def encode(message: Contract) -> bytes:
    """The payload's bytes: compact JSON, fields in the order of declaration, without those that have their default."""
    return message.model_dump_json(exclude_defaults=True).encode()


def decode(name: str, data: bytes) -> Contract | None:
    """Read a payload as the newest version of its type; None if nobody registered it (a message for others).

    Raises :class:`InvalidMessage` with reason `invalid_payload` if it does not fit its contract.
    """
    newest, data = upcast(name, data)
    model = _REGISTRY.get(newest)
    if model is None:
        return None
    try:
        return model.model_validate_json(data, extra="ignore" if model.KIND == "event" else "forbid")
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise InvalidMessage("invalid_payload", f"{newest} {place}: {first['msg']}"[:500]) from error
