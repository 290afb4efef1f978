"""What identifies a command as sent: the same on every door and in every release, however its JSON was written."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import orjson
from pydantic import BaseModel

from libs.service.clock import from_datetime
from services.ledger.domain.amounts import UNITS_MAX

_AMOUNTS = frozenset({"amount", "balance_after", "overdraft", "below", "rearm_at", "limit", "quantity", "seconds"})
_LOOSE = frozenset({"reference", "description", "metadata"})
"""Fields in which two requests for the same `unique_ref` may differ."""
_DECIMAL = re.compile(r"(-?)0*([0-9]+)(?:\.([0-9]*?)0*)?", re.ASCII)


def fields_sent(model: BaseModel) -> dict[str, Any]:
    """The fields that were given, in one way of writing each: amounts without idle zeros, times in microseconds."""
    given = model.__dict__
    return {
        name: value if type(value) is str and name not in _AMOUNTS else _normal(name, value)
        for name in model.__pydantic_fields_set__
        if (value := given[name]) is not None
    }


def _normal(name: str, value: Any) -> Any:
    if name in _AMOUNTS:
        return _amount(value)
    if isinstance(value, datetime):
        return from_datetime(value)
    if isinstance(value, BaseModel):
        return fields_sent(value)
    if isinstance(value, tuple):
        return [_normal("", item) for item in value]
    return value


def _amount(value: str | int) -> str:
    """`5`, `"5"`, `"05"` and `"5.00"` are one amount. What is none stays as it is: it will be refused."""
    if isinstance(value, int):
        return str(value) if abs(value) <= UNITS_MAX else "too large"
    if value.isdecimal() and value.isascii() and value[0] != "0":
        return value
    match = _DECIMAL.fullmatch(value)
    if match is None:
        return value
    sign, whole, fraction = match.groups()
    number = f"{whole}.{fraction}" if fraction else whole
    return number if number == "0" else sign + number


def fingerprints(command_type: str, fields: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """SHA-256 of the type and all `fields`, and the same without the labels that a repeat may change."""
    whole = _digest(command_type, fields)
    if _LOOSE.isdisjoint(fields):
        return whole, whole
    return whole, _digest(command_type, {name: value for name, value in fields.items() if name not in _LOOSE})


def _digest(command_type: str, fields: Mapping[str, Any]) -> bytes:
    return hashlib.sha256(orjson.dumps([command_type, fields], option=orjson.OPT_SORT_KEYS)).digest()
