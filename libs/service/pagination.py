"""Lists: `?limit=&cursor=` in, `{data, next_cursor, has_more}` out.

A cursor is opaque to callers: base64url of a small JSON object that says where the next page begins. It is checked like
any other input and grants nothing, so it needs no signature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import orjson

from libs.service.problems import invalid

T = TypeVar("T")

LIMIT_DEFAULT = 50
LIMIT_MAX = 500
CURSOR_LENGTH_MAX = 1024


def encode_cursor(place: Mapping[str, str | int]) -> str:
    """The cursor of a place, such as `{"position": 42}`."""
    return base64.urlsafe_b64encode(orjson.dumps(dict(place))).rstrip(b"=").decode()


def decode_cursor(
    cursor: str | None, shape: Mapping[str, type[str] | type[int]], *, length_max: int = CURSOR_LENGTH_MAX
) -> dict[str, Any] | None:
    """The place that `cursor` names, with exactly the fields and types of `shape`; None for no cursor.

    Anything else, and what is longer than `length_max` characters, is `invalid_request` with the code `invalid_cursor`.
    """
    if cursor is None:
        return None
    fault = invalid("invalid_cursor", "cursor", "Send next_cursor of the page before, unchanged.")
    if len(cursor) > length_max:
        raise fault
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        place = orjson.loads(raw)
    except (binascii.Error, ValueError):
        raise fault from None
    if not isinstance(place, dict) or place.keys() != shape.keys():
        raise fault
    if any(type(place[name]) is not kind for name, kind in shape.items()):
        raise fault
    return place


def page(
    rows: Sequence[T], limit: int, place: Callable[[T], Mapping[str, str | int]], render: Callable[[T], Any]
) -> dict[str, Any]:
    """The answer of a list from up to `limit + 1` rows: the row too many only tells that there are more.

    `place` gives the cursor's content for the last row shown; `render` turns a row into JSON.
    """
    shown = rows[:limit]
    more = len(rows) > limit
    return {
        "data": [render(row) for row in shown],
        "next_cursor": encode_cursor(place(shown[-1])) if more else None,
        "has_more": more,
    }
