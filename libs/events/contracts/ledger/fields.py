"""The kinds of fields that the ledger's messages are made of, each with the code that names what is wrong with it.

What is checked here can be told from the text alone. Whether an amount fits the scale of its asset, or an id exists,
is decided later by the ledger.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BeforeValidator,
    Field,
    PlainValidator,
    StringConstraints,
    WithJsonSchema,
)
from pydantic_core import PydanticCustomError

from libs.events.ids import InvalidIdError, parse_id

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
_LAYOUT = str.maketrans("", "", "\n\t")
_AMOUNT_LENGTH_MAX = 64
_QUANTITY = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,6}0{0,12})?", re.ASCII)
_QUANTITY_MAX = 10**12
_YEAR_MIN, _YEAR_MAX = 1970, 9000
_USER = r"[A-Za-z0-9._:-]{1,128}"
_NAME = r"[A-Za-z0-9._:/-]{1,64}"
_MODEL = r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,127}"
_REASON = r"[a-z0-9_]{1,64}"
_ULID = r"[0-9a-f]{2}[0-7][0-9A-HJKMNP-TV-Z]{25}"


def _amount(value: Any) -> str | int:
    if type(value) is str:
        if len(value) > _AMOUNT_LENGTH_MAX:
            raise PydanticCustomError("amount_too_large", "The amount has too many digits.")
        return value
    if type(value) is int:
        return value
    raise PydanticCustomError("amount_not_string", "An amount is a decimal string; floats are refused.")


def _quantity(value: Any) -> str | int:
    if type(value) is str and _QUANTITY.fullmatch(value) is not None:
        return value
    if type(value) is int and 0 <= value <= _QUANTITY_MAX:
        return value
    detail = "A quantity is an integer or a decimal string with at most six decimals, from 0 to 10^12."
    raise PydanticCustomError("invalid_quantity", detail)


def _clean(text: str) -> str:
    if _CONTROL.search(text):
        raise PydanticCustomError("control_character", "Control characters are not allowed.")
    return text


def _clean_lines(text: str) -> str:
    _clean(text.translate(_LAYOUT))
    return text


def _matching(pattern: str, code: LiteralString, detail: LiteralString) -> Callable[[str], str]:
    fullmatch = re.compile(pattern, re.ASCII).fullmatch

    def check(text: str) -> str:
        if fullmatch(text) is None:
            raise PydanticCustomError(code, detail)
        return text

    return check


def _id_of(word: str) -> Callable[[str], str]:
    def check(text: str) -> str:
        try:
            parse_id(text, word)
        except InvalidIdError:
            raise PydanticCustomError("invalid_id", "This is not the id of a {word}.", {"word": word}) from None
        return text

    return check


def _text_time(value: Any) -> Any:
    # Pydantic would also read a number, or the digits of one, as Unix time.
    if isinstance(value, datetime) or (isinstance(value, str) and value[10:11] in ("T", "t", " ")):
        return value
    raise PydanticCustomError("invalid_time", "A time is written as in RFC 3339: 2026-01-31T09:00:00Z.")


def _within_calendar(moment: datetime) -> datetime:
    # What the ledger adds to it, and its time in UTC, must still be times that can be written.
    if not _YEAR_MIN <= moment.year <= _YEAR_MAX:
        raise PydanticCustomError("invalid_time", "A time lies between the years 1970 and 9000.")
    return moment


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("invalid_zone", "There is no such time zone.") from None
    return name


def _schema(pattern: str) -> WithJsonSchema:
    return WithJsonSchema({"type": "string", "pattern": f"^{pattern}$"})


Amount = Annotated[
    str | int,
    PlainValidator(_amount),
    WithJsonSchema({"anyOf": [{"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"}, {"type": "integer"}]}),
]
"""Credits as somebody asks for them: a decimal string, or an integer that means whole credits."""

Quantity = Annotated[
    str | int,
    PlainValidator(_quantity),
    WithJsonSchema(
        {"anyOf": [{"type": "string", "pattern": r"^[0-9]+(\.[0-9]+)?$"}, {"type": "integer", "minimum": 0}]}
    ),
]
"""How much of something: a decimal string with at most six decimals, or an integer."""

Tokens = Annotated[int, Field(ge=0, le=10**12)]
"""A number of things that are counted whole."""

User = Annotated[
    str,
    AfterValidator(_matching(_USER, "invalid_user", "A user is 1 to 128 of the characters A-Z, a-z, 0-9 and . _ : -")),
    _schema(_USER),
]
"""The app's own opaque id of a user. System accounts (`@…`) cannot be named."""

Name = Annotated[
    str,
    AfterValidator(_matching(_NAME, "invalid_name", "A name is 1 to 64 of the characters A-Z, a-z, 0-9 and . _ : / -")),
    _schema(_NAME),
]
"""What an app calls a service, an asset or an action."""

Model = Annotated[
    str,
    AfterValidator(_matching(_MODEL, "invalid_model", "A model is 1 to 128 of A-Z, a-z, 0-9 and . _ : / @ + -")),
    _schema(_MODEL),
]
"""A model as the app's price book names it: `openai/gpt-4o-mini`."""

PriceList = Annotated[
    str,
    AfterValidator(_matching(r"[a-z0-9_]{0,64}", "invalid_name", "A list of prices is 0 to 64 of a-z, 0-9 and _")),
    _schema("[a-z0-9_]{0,64}"),
]
"""A customer's list of prices; an empty one: the ordinary prices."""

Reason = Annotated[
    str,
    AfterValidator(_matching(_REASON, "invalid_reason", "A reason is a code: 1 to 64 of a-z, 0-9 and _")),
    _schema(_REASON),
]
"""A short code that says why; it stays in the log for ever, so it is no place for free text."""

Label = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_clean)]
"""A caller's own reference to something of his."""

Description = Annotated[str, StringConstraints(max_length=1000), AfterValidator(_clean_lines)]
"""What people read: it may have lines and tabs."""

MetadataKey = Annotated[str, StringConstraints(min_length=1, max_length=64), AfterValidator(_clean)]
MetadataValue = Annotated[str, StringConstraints(max_length=500), AfterValidator(_clean)]
Metadata = Annotated[dict[MetadataKey, MetadataValue], Field(max_length=50)]
"""Free text, erasable: neither is part of the log."""

Moment = Annotated[AwareDatetime, Field(strict=False), BeforeValidator(_text_time), AfterValidator(_within_calendar)]
"""A time in a command: RFC 3339 with an offset."""

Zone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_zone)]
"""The IANA name of a time zone."""

GrantId = Annotated[str, AfterValidator(_id_of("grant")), _schema("grant_" + _ULID)]
ChargeId = Annotated[str, AfterValidator(_id_of("charge")), _schema("charge_" + _ULID)]
QuoteId = Annotated[str, AfterValidator(_id_of("quote")), _schema("quote_" + _ULID)]
HoldId = Annotated[str, AfterValidator(_id_of("hold")), _schema("hold_" + _ULID)]

Seconds = Annotated[int, Field(gt=0, le=31_622_400)]
"""A length of time, at most a leap year."""

Source = Literal["paid", "promo", "allowance", "code", "earned", "refund", "cashback", "referral", "opening"]
"""Where credits came from."""

GrantedSource = Literal["paid", "promo", "code", "earned", "refund", "cashback", "referral", "opening"]
"""What a grant may say of itself: allowances are made by the ledger only."""

BudgetPeriod = Literal["day", "week", "month", "lifetime"]
"""How long a budget counts before it begins anew."""

_MEMBERS = rf"\*|{_USER}"
Members = Annotated[
    str,
    AfterValidator(_matching(_MEMBERS, "invalid_member", "A member is written as a user is; * is each member.")),
    _schema(f"({_MEMBERS})"),
]
"""A member, or `*`: each member by itself."""

RevokePolicy = Literal["debt", "absorb", "block"]
"""What becomes of credits that were spent before their grant is revoked."""

Credits = Annotated[str, StringConstraints(pattern=r"^-?[0-9]+(\.[0-9]+)?$")]
"""Credits in an event: a decimal string at the full scale of the asset."""

Time = Annotated[
    str,
    StringConstraints(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}\.[0-9]{6}Z$"),
    WithJsonSchema({"type": "string", "format": "date-time"}),
]
"""A time in an event: RFC 3339 in UTC with microseconds."""
