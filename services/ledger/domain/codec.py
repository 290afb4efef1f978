"""Events to stored payloads and back.

A payload is compact JSON with the fields in the order of the event's class. A field that has its default is left
out, so that a field added later changes no byte of what older events encode to. `Units` are decimal strings at the
asset's full scale, `Time` is RFC 3339 in UTC with microseconds.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import lru_cache
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

import orjson

from libs.events.envelope import parse_time, time_text
from services.ledger.domain import events as ev
from services.ledger.domain.amounts import format_units, units_of

__all__ = ["EVENT_TYPES", "TYPE_NAMES", "decode", "encode", "event_of", "format_time", "parse_time", "plain"]

EventT = TypeVar("EventT")
Decode = Callable[[Any], Any]

_NOT_IN_PAYLOAD = {"at"}

format_time = lru_cache(maxsize=4096)(time_text)
"""The text of a time. Those of periods and expiries are the same in many events."""


def _decoder(hint: Any) -> Decode | None:
    """From JSON to a value of this annotation; None means that it is stored as it is."""
    if hint is ev.Units:
        return units_of
    if hint is ev.Time:
        return parse_time
    if hint in (str, int, bool) or get_origin(hint) is Literal:
        return None
    if get_origin(hint) in (Union, UnionType):
        decode = _decoder(_some(hint))
        return None if decode is None else lambda value: None if value is None else decode(value)
    if get_origin(hint) is tuple:
        inner = _decoder(get_args(hint)[0])
        return tuple if inner is None else lambda value: tuple([inner(item) for item in value])
    if _is_part(hint):
        return lambda value: _from_dict(hint, value)
    raise TypeError(f"no codec for {hint!r}")


def _written(hint: Any, item: str, known: dict[str, Any]) -> str:
    """The expression that makes JSON of `item`, a value of this annotation; what it calls is added to `known`."""
    if hint is ev.Units:
        return f"format_units({item}, scale)"
    if hint is ev.Time:
        return f"format_time({item})"
    if get_origin(hint) in (Union, UnionType):
        written = _written(_some(hint), item, known)
        return item if written == item else f"None if {item} is None else {written}"
    if get_origin(hint) is tuple:
        written = _written(get_args(hint)[0], "each", known)
        return f"list({item})" if written == "each" else f"[{written} for each in {item}]"
    if _is_part(hint):
        _SHAPES.setdefault(hint, _Shape(hint))
        known[f"{hint.__name__}_to_dict"] = _SHAPES[hint].to_dict
        return f"{hint.__name__}_to_dict({item}, scale)"
    return item


def _some(hint: Any) -> Any:
    """What an optional value is when there is one."""
    return next(arg for arg in get_args(hint) if arg is not NoneType)


def _is_part(hint: Any) -> bool:
    return is_dataclass(hint) and isinstance(hint, type)


def _writer(fields_of: list[tuple[str, Any, Any]]) -> Callable[[Any, int], dict[str, Any]]:
    """What makes the dict of a part: name, default and annotation of each field, written out as one function.

    A loop over the fields takes half as long again, and encoding was a quarter of what it takes to decide a charge.
    """
    known: dict[str, Any] = {"format_units": format_units, "format_time": format_time}
    lines = ["def to_dict(value, scale):", " out = {}"]
    for name, default, hint in fields_of:
        written = _written(hint, "item", known)
        lines.append(f" item = value.{name}")
        if default is MISSING:
            lines.append(f" out[{name!r}] = {written}")
        else:
            known[f"{name}_default"] = default
            lines.append(f" if item is not {name}_default and item != {name}_default: out[{name!r}] = {written}")
    exec("\n".join([*lines, " return out"]), known)  # noqa: S102 - of names of our own classes alone
    made: Callable[[Any, int], dict[str, Any]] = known["to_dict"]
    return made


class _Shape:
    """How one class of events (or of their parts) is written and read: worked out once, when the module is loaded."""

    __slots__ = ("decoders", "to_dict")

    def __init__(self, cls: type[Any]) -> None:
        hints = get_type_hints(cls)
        names = [(f.name, f.default) for f in fields(cls) if f.init and f.name not in _NOT_IN_PAYLOAD]
        self.decoders = {name: _decoder(hints[name]) for name, _ in names}
        self.to_dict = _writer([(name, default, hints[name]) for name, default in names])


_SHAPES: dict[Any, _Shape] = {}


def _from_dict(cls: type[EventT], data: dict[str, Any]) -> EventT:
    decoders = _SHAPES[cls].decoders
    arguments = {}
    for name, item in data.items():
        decode = decoders[name]
        arguments[name] = item if decode is None else decode(item)
    return cls(**arguments)


def plain(part: Any, scale: int) -> dict[str, Any]:
    """A part of an event as its payload has it."""
    return _SHAPES[type(part)].to_dict(part, scale)


def encode(event: ev.Event, scale: int) -> bytes:
    """The payload bytes of an event of an asset with `scale` decimals (0 for the events of `@app`)."""
    return orjson.dumps(_SHAPES[type(event)].to_dict(event, scale))


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _leaves(cls: type[Any]) -> list[type[Any]]:
    subclasses: list[type[Any]] = cls.__subclasses__()
    return [cls] if not subclasses else [leaf for sub in subclasses for leaf in _leaves(sub)]


EVENT_TYPES: dict[str, type[ev.Event]] = {
    f"ledger.{_snake(cls.__name__)}.v1": cls for cls in _leaves(ev.AccountEvent) + _leaves(ev.AppEvent)
}
"""Every event type that the ledger writes, by its name on the log and on Kafka."""
for _cls in EVENT_TYPES.values():
    _SHAPES[_cls] = _Shape(_cls)
TYPE_NAMES: dict[type, str] = {cls: name for name, cls in EVENT_TYPES.items()}


def decode(type_name: str, payload: bytes, at: int) -> ev.Event:
    """The event of a stored payload; `at` is its time, which the log keeps beside it. KeyError: unknown type."""
    return event_of(type_name, orjson.loads(payload), at)


def event_of(type_name: str, fields: dict[str, Any], at: int) -> ev.Event:
    """As :func:`decode`, of a payload that has been parsed."""
    event = _from_dict(EVENT_TYPES[type_name], fields)
    event.at = at
    return event
