"""Amounts of credits: decimal strings outside, exact decimals inside. Whether the scale fits, the ledger says."""

from __future__ import annotations

import re
from decimal import Decimal

_AMOUNT = re.compile(r"[0-9]{1,16}(?:\.[0-9]{1,9})?", re.ASCII)


def parse_amount(text: object) -> Decimal:
    """More than zero, as a decimal string (or an integer, meaning whole credits); ValueError says what is wrong."""
    if isinstance(text, int) and not isinstance(text, bool):
        text = str(text)
    if not isinstance(text, str):
        raise ValueError("amount_not_string")  # noqa: TRY004 - one kind of fault for whatever is no amount
    if _AMOUNT.fullmatch(text) is None:
        raise ValueError("amount_invalid")
    amount = Decimal(text)
    if not amount:
        raise ValueError("amount_not_positive")
    return amount


def format_amount(amount: Decimal) -> str:
    """The decimal string, with the digits that it was given with."""
    return format(amount, "f")
