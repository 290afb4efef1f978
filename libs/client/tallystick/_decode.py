"""JSON objects into frozen dataclasses: by field name and type, unknown fields kept aside, missing ones named."""

import types
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import datetime
from decimal import Decimal
from functools import cache, partial
from typing import Any, NamedTuple, TypeVar, Union, get_args, get_origin, get_type_hints

from .errors import UnexpectedAnswer
from .values import time_of

T = TypeVar("T")
Convert = Callable[[Any], Any]


class _Field(NamedTuple):
    name: str
    convert: Convert
    required: bool


def decode(kind: type[T], data: Any, **beside: Any) -> T:
    """An instance of the dataclass `kind` from a JSON object; `beside` are fields that did not come in the body.

    Fields that `kind` does not have are only in its `raw`. Raises UnexpectedAnswer when a required field is missing
    or unreadable.
    """
    if not isinstance(data, Mapping):
        raise UnexpectedAnswer(f"{kind.__name__} was expected, a {type(data).__name__} came")
    values: dict[str, Any] = {"raw": data, **beside}
    for name, convert, required in _plan(kind):
        value = data.get(name)
        if value is None:
            if required and name not in beside:
                raise UnexpectedAnswer(f"{kind.__name__} came without {name!r}", problem=data)
            continue
        try:
            values[name] = convert(value)
        except (ValueError, TypeError, ArithmeticError) as error:
            raise UnexpectedAnswer(f"{kind.__name__}.{name} is unreadable: {value!r}", problem=data) from error
    return kind(**values)


def _fields_of(kind: Any) -> tuple[_Field, ...]:
    hints = get_type_hints(kind)
    return tuple(
        _Field(field.name, _converter(hints[field.name]), field.default is MISSING and field.default_factory is MISSING)
        for field in fields(kind)
        if field.name != "raw"
    )


_plan: Callable[[Any], tuple[_Field, ...]] = cache(_fields_of)


def _converter(hint: Any) -> Convert:
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return _converter(next(argument for argument in arguments if argument is not type(None)))
    if origin is tuple:
        item = _converter(arguments[0])
        return lambda value: tuple(item(each) for each in value)
    if isinstance(hint, type) and is_dataclass(hint):
        return partial(decode, hint)
    return _PLAIN.get(hint, _as_it_is)


def _as_it_is(value: Any) -> Any:
    return value


# Decimals go through text: a number that JSON made a float must not carry its binary tail along.
_PLAIN: dict[Any, Convert] = {Decimal: lambda value: Decimal(str(value)), datetime: time_of, str: str, int: int}
