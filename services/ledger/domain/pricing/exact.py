"""Decimal strings as integers and back: prices, counts and percentages each have places enough to be exact."""

from __future__ import annotations

import re
from functools import lru_cache

PRICE_PLACES = 12
COUNT_PLACES = 6
PERCENT_PLACES = 4
COUNT_MAX = 10**12
"""The most of one unit that one operation may use."""

_DECIMAL = re.compile(r"([0-9]{1,15})(?:\.([0-9]{1,15}))?", re.ASCII)


@lru_cache(maxsize=4096)
def scaled(text: str, places: int) -> int:
    """`text`, a decimal without sign, in units of 10^-places; ValueError if it is none, or has more places."""
    match = _DECIMAL.fullmatch(text)
    if match is None:
        raise ValueError("this is not a decimal number such as '12.5'")
    fraction = (match[2] or "").rstrip("0")
    if len(fraction) > places:
        raise ValueError(f"at most {places} decimals are kept")
    return int(match[1] + fraction.ljust(places, "0"))


def shown(value: int, places: int) -> str:
    """The shortest decimal string of `value` units of 10^-places: `shown(1500, 3)` is "1.5"."""
    whole, fraction = divmod(value, 10**places)
    rest = f"{fraction:0{places}d}".rstrip("0") if fraction else ""
    return f"{whole}.{rest}" if rest else str(whole)
