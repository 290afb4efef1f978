"""Values as they cross the wire: amounts as decimal text, times as RFC 3339 in UTC, path parts escaped."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from urllib.parse import quote

Amount = str | int | Decimal
"""Credits: decimal text, whole credits as an int, or a Decimal."""


Usage = Mapping[str, int | str | Decimal]
"""What a call used, by unit: `input`, `output`, `cached`, `cache_write`, `reasoning`, `images` as whole numbers,
`seconds` also as decimal text or Decimal. Units that are 0 may be left out."""


def usage_fields(usage: Usage) -> dict[str, int | str]:
    """A usage as it is sent. Floats raise TypeError."""
    return {unit: used if type(used) is int else amount_text(used) for unit, used in usage.items()}


def optional_usage(usage: Usage | None) -> dict[str, int | str] | None:
    """A usage as it is sent, if there is one."""
    return None if usage is None else usage_fields(usage)


def amount_text(amount: Amount) -> str:
    """The amount as plain decimal text, without an exponent.

    Floats and bools raise TypeError, NaN and infinities ValueError.
    """
    if isinstance(amount, bool) or not isinstance(amount, str | int | Decimal):
        raise TypeError(f"an amount is a str, int or Decimal, not {type(amount).__name__}: a float is not exact")
    if isinstance(amount, Decimal):
        if not amount.is_finite():
            raise ValueError(f"an amount is a finite number, not {amount}")
        return format(amount, "f")
    return str(amount)


def optional_amount(amount: Amount | None) -> str | None:
    """An amount as it is sent, if there is one."""
    return None if amount is None else amount_text(amount)


def time_text(moment: datetime) -> str:
    """The moment as RFC 3339 in UTC, `2026-01-31T09:00:00.000000Z`. A time without a zone raises ValueError."""
    if moment.tzinfo is None:
        raise ValueError("a time needs a zone: a naive datetime means another moment on every machine")
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def time_of(text: str) -> datetime:
    """The aware UTC datetime of an RFC 3339 text."""
    return datetime.fromisoformat(text).astimezone(UTC)


def path(*parts: str) -> str:
    """`/v1/…` of these parts, each escaped. An empty part raises ValueError, as it would name another route.

    Dots are escaped too: `..` is a legal user id, and a bare one would climb out of its route.
    """
    if not all(parts):
        raise ValueError(f"an id is missing in {'/'.join(parts)!r}")
    return "/v1/" + "/".join(quote(part, safe="").replace(".", "%2E") for part in parts)


def present(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields that were given; None means left out."""
    return {name: value for name, value in fields.items() if value is not None}
