"""Amounts of credits: decimal strings outside, integer units inside; never floats.

One unit is the smallest part of an asset: with scale 2, "1.50" is 150 units.
"""

from __future__ import annotations

import re

UNITS_MAX = 10**15
"""The largest amount of one command or balance, in units."""
SCALE_MAX = 9

_PLAIN_MAX = 15
"""Digits of a whole number that is surely no more than :data:`UNITS_MAX` of them."""
_DECIMAL = re.compile(r"-?[0-9]{1,16}(?:\.[0-9]{1,18})?", re.ASCII)


class AmountError(ValueError):
    """An amount that is refused; `code` is the name in the problem's `errors[]`."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def parse_signed(value: object, scale: int) -> int:
    """Units of a decimal string (or an integer, meaning whole credits); :class:`AmountError` if it is neither.

    Refused are floats (`amount_not_string`), more decimals than the asset has, even zeros beyond scale 18
    (`amount_too_precise`), and more than 10^15 units (`amount_too_large`).
    """
    if isinstance(value, str):
        if len(value) <= _PLAIN_MAX and value.isdecimal() and value.isascii():
            units: int = int(value) * 10**scale
        elif _DECIMAL.fullmatch(value) is None:
            if re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", value, re.ASCII):
                raise AmountError("amount_too_large", "The amount has too many digits.")
            raise AmountError("amount_invalid", "An amount is a decimal string such as '12.50'.")
        else:
            whole, _, fraction = value.partition(".")
            kept, rest = fraction[:scale], fraction[scale:]
            if rest.strip("0"):
                raise AmountError("amount_too_precise", f"The asset has {scale} decimals.")
            units = int(whole.removeprefix("-") + kept.ljust(scale, "0"))
            units = -units if value[0] == "-" else units
    elif isinstance(value, int) and not isinstance(value, bool):
        units = value * 10**scale if abs(value) <= UNITS_MAX else UNITS_MAX + 1
    else:
        raise AmountError("amount_not_string", "An amount is a decimal string; floats are refused.")
    if abs(units) > UNITS_MAX:
        raise AmountError("amount_too_large", f"An amount is at most {UNITS_MAX} units.")
    return units


def parse_positive(value: object, scale: int) -> int:
    """As :func:`parse_signed`, and more than zero (`amount_not_positive`)."""
    units = parse_signed(value, scale)
    if units <= 0:
        raise AmountError("amount_not_positive", "The amount must be more than zero.")
    return units


_ZERO = [f"{0:.{scale}f}" for scale in range(SCALE_MAX + 1)]
"""What most balances of most events are."""


def format_units(units: int, scale: int) -> str:
    """The decimal string of `units` at the asset's full scale: `format_units(150, 2)` is "1.50"."""
    if not scale:
        return str(units)
    if not units:
        return _ZERO[scale]
    digits = str(units)
    if units < 0 or len(digits) <= scale:
        digits = f"{units:0{scale + 1}d}" if units >= 0 else f"-{-units:0{scale + 1}d}"
    return f"{digits[:-scale]}.{digits[-scale:]}"


def units_of(text: str) -> int:
    """The units of a string at full scale, as events hold it: the scale is in the string itself."""
    return int(text.replace(".", ""))
