"""What the trials' app charges and gives: plans, earning rules, prices; worked out by none of the ledger's code.

Amounts are integer units, times seconds since the machine's start.
"""

from __future__ import annotations

from datetime import date
from fractions import Fraction
from math import ceil

from services.ledger.tests.oracle.account import Plan

ACTIONS = {
    "start": (100, "start", 1, "lifetime"),
    "choose_personal": (50, "direction", 1, "lifetime"),
    "choose_business": (50, "direction", 1, "lifetime"),
    "visit": (30, "visit", 2, "day"),
}
"""Each with what it earns, as what it is remembered, and how often it earns in which period."""
CAPS = {"day": 200, "week": 300}
"""What all actions together earn at most in a period."""
CALLER = "oracle"
"""Who asks for everything."""
DAY_S = 86_400
MONTHS: list[float] = [DAY_S * (date(2026 + n // 12, n % 12 + 1, 1) - date(2026, 1, 1)).days for n in range(1200)]
"""When months begin, in seconds since the machine's start: the trial's app has them in UTC."""
PLANS = {"small": Plan(100), "large": Plan(250), "rolling": Plan(75, (10, 100))}
QUOTE_S = 600
"""How long a quote is a promise."""
DEARER_AT = DAY_S
"""When the model `tiny` begins to cost more."""
RATES = ((Fraction("0.11"), Fraction("0.43")), (Fraction("0.2"), Fraction("0.515")))
"""Credits for a token of its input and of its output, before and from then on."""


def cost_of(quantity: str) -> int:
    """Hundredths for a quantity of the operation `draw`: 0.37 each, half as much on top, 0.9 at least, rounded up."""
    return max(ceil(Fraction(quantity) * Fraction("0.37") * Fraction(3, 2) * 100), 90)


def cost_of_use(read: int, written: int, at: float) -> int:
    """Hundredths for so many tokens of `tiny` at the rates of a moment, a tenth on top, rounded up."""
    rates = RATES[at >= DEARER_AT]
    return ceil((read * rates[0] + written * rates[1]) * Fraction(11, 10) * 100)
