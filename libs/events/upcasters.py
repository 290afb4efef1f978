"""Old versions of a message are lifted to the newest when they are read; what is stored never changes.

An upcaster takes the parsed payload of one version and returns that of the next. Every version that was ever written
has a specimen in `libs/events/corpus/`, which must fold byte for byte for ever.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from libs.events.envelope import InvalidMessage

Payload = dict[str, Any]
Upcaster = Callable[[Payload], Payload]
_UPCASTERS: dict[str, tuple[str, Upcaster]] = {}


def upcaster(old: str, new: str) -> Callable[[Upcaster], Upcaster]:
    """Decorator: register how a payload of type `old` (`x.y.v1`) becomes one of type `new` (`x.y.v2`)."""
    old_stem, _, old_version = old.rpartition(".v")
    new_stem, _, new_version = new.rpartition(".v")
    if old_stem != new_stem or int(new_version) != int(old_version) + 1:
        raise ValueError(f"{old} → {new} is not a step to the next version")

    def register(function: Upcaster) -> Upcaster:
        if old in _UPCASTERS:
            raise ValueError(f"{old} has an upcaster already")
        _UPCASTERS[old] = (new, function)
        return function

    return register


def newest(name: str) -> str:
    """The newest version that the type `name` is lifted to."""
    while name in _UPCASTERS:
        name = _UPCASTERS[name][0]
    return name


def upcast(name: str, data: bytes) -> tuple[str, bytes]:
    """The newest type name and the payload lifted to it; the bytes stay untouched if `name` is the newest.

    Raises :class:`InvalidMessage` with reason `invalid_payload` when an old payload is not what its version promised.
    """
    if name not in _UPCASTERS:
        return name, data
    try:
        payload = orjson.loads(data)
        while name in _UPCASTERS:
            name, function = _UPCASTERS[name]
            payload = function(payload)
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError, ValueError) as error:
        raise InvalidMessage("invalid_payload", f"{name}: {error!r}"[:500]) from error
    return name, orjson.dumps(payload)
