"""How a price became an amount: the steps from what was used to what was taken, each with what it came to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Context, Decimal
from typing import Any

_EXACT = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Step:
    """One step: why, a sentence, and the amount so far, exact until it is rounded."""

    why: str
    sentence: str
    amount: str


def steps(priced: Mapping[str, Any], scale: int) -> list[Step]:
    """The steps of an event's `priced` part, as it is stored, for an asset with `scale` decimals."""
    exact = Decimal(0)
    found = []
    for line in priced["lines"]:
        exact = _EXACT.add(exact, Decimal(line["amount"]))
        sentence = f"{line['count']} of '{line['unit']}' at {line['unit_price']} come to {line['amount']}."
        found.append(Step("line", sentence, _text(exact)))
    percent = Decimal(priced.get("markup_percent", "0"))
    if percent:
        exact = _EXACT.multiply(exact, 1 + percent / 100)
        found.append(Step("mark_up", f"The app adds {_text(percent)} per cent.", _text(exact)))
    rounded = exact.quantize(Decimal(1).scaleb(-scale), rounding=ROUND_CEILING, context=_EXACT)
    if rounded != exact:
        found.append(Step("rounded_up", f"Rounded up, once, to {scale} decimals.", f"{rounded:f}"))
    minimum = Decimal(priced.get("minimum", "0"))
    if exact and minimum > rounded:
        found.append(Step("minimum", f"What costs anything costs at least {_text(minimum)}.", _text(minimum)))
    return found


def _text(value: Decimal) -> str:
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
