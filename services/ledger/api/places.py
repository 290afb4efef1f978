"""Places in every partition of the log, in a cursor: up to 256 of them in at most 3,900 characters."""

from __future__ import annotations

import base64
from collections.abc import Sequence

from libs.service.pagination import decode_cursor
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
    try:
        positions = unpack(place["before"])
    except ValueError:
        positions = []
    if len(positions) != partitions:
        raise invalid("invalid_cursor", "cursor", "Send next_cursor of the page before, unchanged.")
    return dict(enumerate(positions))
