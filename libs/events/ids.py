"""Ids: a full word, the partition in two hexadecimal digits, a ULID; for example `hold_2a01JD…`.

The ULID (https://github.com/ulid/spec) is monotone within one source, so ids made later sort later; the partition in
front lets any process find the owner of an object from its id alone.

What happened first is told by positions, never by ids: when another process takes a partition over, its ids of the same
millisecond may sort before those of the process before it. Where a rule goes by ids (lots granted in one microsecond,
what is due at one moment), any order would do, and ids give the same one whenever the log is folded again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from os import urandom

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_PAIRS = [a + b for a in _ALPHABET for b in _ALPHABET]
_RANDOM_MAX = (1 << 80) - 1
_ID = re.compile(r"([a-z]+)_([0-9a-f]{2})([0-7][0-9A-HJKMNP-TV-Z]{25})")


class InvalidIdError(ValueError):
    """The text is not an id of ours."""


def _encode(value: int, pairs: int) -> str:
    return "".join([_PAIRS[(value >> shift) & 1023] for shift in range(10 * (pairs - 1), -1, -10)])


class UlidSource:
    """Makes ULIDs that increase strictly, even when the clock stands still or goes back.

    `random` yields bytes (tests and the simulation pass a seeded one); time comes with each call, because the domain
    that asks for ids has no clock.
    """

    __slots__ = ("_ms", "_prefix", "_random", "_tail", "_time")

    def __init__(self, random: Callable[[int], bytes] = urandom) -> None:
        self._random = random
        self._ms = -1
        self._time = ""
        self._tail = 0
        self._prefix = ""
        """All but the last two signs, which 1024 ids of a millisecond share."""

    def next(self, time_us: int) -> str:
        """A ULID for `time_us` (microseconds since the epoch)."""
        ms = time_us // 1000
        if ms > self._ms or self._tail == _RANDOM_MAX:
            self._ms = max(ms, self._ms + 1)
            self._time = _encode(self._ms, 5)
            # The top bit stays free, so that the increments of one millisecond cannot run out.
            self._tail = int.from_bytes(self._random(10), "big") >> 1
            self._prefix = self._time + _encode(self._tail >> 10, 7)
        else:
            self._tail += 1
            if not self._tail & 1023:
                self._prefix = self._time + _encode(self._tail >> 10, 7)
        return self._prefix + _PAIRS[self._tail & 1023]


class Ids:
    """Ids of one partition at one time: what a command's decision is given to name what it makes."""

    __slots__ = ("_hex", "_source", "_time_us")

    def __init__(self, source: UlidSource, partition: int, time_us: int) -> None:
        self._source = source
        self._hex = f"{partition:02x}"
        self._time_us = time_us

    def new(self, word: str) -> str:
        """A new id, for example `new("hold")` → `hold_2a01JD…`."""
        return f"{word}_{self._hex}{self._source.next(self._time_us)}"

    def derived(self, word: str, time_us: int, seed: bytes) -> str:
        """The id of what is named by something else: the same for the same time and seed (10 bytes or more of hash)."""
        tail = int.from_bytes(seed[:10], "big") >> 1
        return f"{word}_{self._hex}{_encode(time_us // 1000, 5)}{_encode(tail, 8)}"


def parse_id(text: str, word: str | None = None) -> int:
    """The partition that an id names; :class:`InvalidIdError` if it is not an id (of that word)."""
    match = _ID.fullmatch(text)
    if match is None or (word is not None and match[1] != word):
        raise InvalidIdError(text)
    return int(match[2], 16)
