"""What a change of a schema breaks.

Events lie in logs for ever, are read by consumers older and newer than their producer, and defaults are not written. So
in an event nothing may be removed, retyped, newly required, or given another default. Commands are read by the newest
receiver from older senders: a field may be taken by more types than before, never by fewer, and none newly required.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal

Schema = Mapping[str, Any]
_NO_TYPE = ("title", "description", "examples", "default")


def breaks(old: Schema, new: Schema, kind: Literal["event", "command"]) -> Iterator[str]:
    """Sentences on what in `new` a reader or writer of `old` cannot live with."""
    yield from _object(old, new, kind, "", (old.get("$defs", {}), new.get("$defs", {})))


def _object(old: Schema, new: Schema, kind: str, at: str, defs: tuple[Schema, Schema]) -> Iterator[str]:
    before, after = old.get("properties", {}), new.get("properties", {})
    for name, field in before.items():
        place = f"{at}.{name}" if at else name
        if name not in after:
            yield f"field {place} was removed"
        else:
            yield from _field(field, after[name], kind, place, defs)
    was_required = set(old.get("required", ()))
    for name in new.get("required", ()):
        if name not in was_required:
            yield f"field {f'{at}.{name}' if at else name} is newly required"
    if kind == "event":
        for name in was_required - set(new.get("required", ())):
            if name in after:
                yield f"field {f'{at}.{name}' if at else name} is no longer always there"


def _field(old: Schema, new: Schema, kind: str, at: str, defs: tuple[Schema, Schema]) -> Iterator[str]:
    if old.get("default") != new.get("default"):
        yield f"the default of {at} changed"
    yield from _type(old, new, kind, at, defs)


def _type(old: Schema, new: Schema, kind: str, at: str, defs: tuple[Schema, Schema]) -> Iterator[str]:
    old, new = _resolved(old, defs[0]), _resolved(new, defs[1])
    if "properties" in old and "properties" in new:
        yield from _object(old, new, kind, at, defs)
    elif "anyOf" in old or "anyOf" in new:
        yield from _union(old, new, kind, at, defs)
    elif old.get("type") == "array" == new.get("type"):
        if "items" in old and "items" in new:
            yield from _type(old["items"], new["items"], kind, f"{at}[]", defs)
    elif "enum" in old and "enum" in new:
        if set(old["enum"]) - set(new["enum"]):
            yield f"{at} no longer allows {sorted(set(old['enum']) - set(new['enum']))}"
    elif _shape(old) != _shape(new):
        yield f"{at} was retyped from {_shape(old)} to {_shape(new)}"


def _union(old: Schema, new: Schema, kind: str, at: str, defs: tuple[Schema, Schema]) -> Iterator[str]:
    """Every old alternative must still be taken; an event must not get alternatives that its old readers don't know."""
    olds, news = old.get("anyOf", [old]), new.get("anyOf", [new])
    for one in olds:
        if all(any(True for _ in _type(one, other, kind, at, defs)) for other in news):
            yield f"{at} no longer takes {_shape(_resolved(one, defs[0]))}"
    if kind == "event" and len(news) > len(olds):
        yield f"{at} was given more types"


def _resolved(schema: Schema, defs: Schema) -> Schema:
    reference = schema.get("$ref")
    if reference is None:
        return schema
    resolved: Schema = defs[reference.rpartition("/")[2]]
    return resolved


def _shape(schema: Schema) -> dict[str, Any]:
    return {name: value for name, value in schema.items() if name not in _NO_TYPE}
