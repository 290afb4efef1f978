"""Places in every partition of the log, in a cursor: up to 256 of them in at most 3,900 characters."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

from libs.service.pagination import decode_cursor, encode_cursor
from libs.service.problems import invalid
from services.ledger.store.journal import NEWEST

CURSOR_LENGTH_MAX = 4096
_MORE = 0x80


def pack(positions: Sequence[int]) -> str:
    """Positions as text: LEB128 in base 85. NEWEST, which most partitions of a first page have, is a single 0."""
    packed = bytearray()
    for position in positions:
        left = 0 if position == NEWEST else position
        while left >= _MORE:
            packed.append(left % _MORE | _MORE)
            left //= _MORE
        packed.append(left)
    return base64.b85encode(packed).decode()


def unpack(text: str) -> list[int]:
    """The positions in a text of :func:`pack`; ValueError for anything else."""
    positions, value, factor = [], 0, 1
    for byte in base64.b85decode(text):
        value += byte % _MORE * factor
        factor *= _MORE
        if byte < _MORE:
            positions.append(value or NEWEST)
            value, factor = 0, 1
    if factor > 1 or any(position > NEWEST for position in positions):
        raise ValueError("not positions")
    return positions


def places_before(cursor: str | None, partitions: int) -> dict[int, int]:
    """Before which position each partition is read: what an earlier page's cursor says, without one NEWEST."""
    place = decode_cursor(cursor, {"before": str}, length_max=CURSOR_LENGTH_MAX)
    if place is None:
        return dict.fromkeys(range(partitions), NEWEST)
    return _places(place["before"], partitions)


def places_behind(cursor: str, partitions: int) -> dict[int, int]:
    """Behind which position each partition is read on: what a stream's event said, which names the next ones."""
    place = decode_cursor(cursor, {"next": str}, length_max=CURSOR_LENGTH_MAX)
    return {number: position - 1 for number, position in _places((place or {})["next"], partitions).items()}


def cursor_behind(places: Mapping[int, int]) -> str:
    """The cursor that :func:`places_behind` reads."""
    return encode_cursor({"next": pack([places[number] + 1 for number in range(len(places))])})


def _places(text: str, partitions: int) -> dict[int, int]:
    try:
        positions = unpack(text)
    except ValueError:
        positions = []
    if len(positions) != partitions:
        raise invalid("invalid_cursor", "cursor", "Send it as it was told, unchanged.")
    return dict(enumerate(positions))
