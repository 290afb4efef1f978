"""A rate card: all that one operation or one model costs, as it is recorded with whatever was priced by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

UNITS = ("quantity", "input", "output", "cached", "cache_write", "reasoning", "images", "seconds")
"""What can be counted, in the order of the lines of a price. An operation has a `quantity`, a model all the others."""
PART_OF: Mapping[str, str] = {"cached": "input", "cache_write": "input", "reasoning": "output"}
"""Tokens that are part of others: `input` counts every token of the prompt, `output` every token of the answer.

So report OpenAI (`prompt_tokens` includes `cached_tokens`, `completion_tokens` includes `reasoning_tokens`,
https://platform.openai.com/docs/api-reference/chat/object) and the price lists of `genai-prices`. Anthropic's
`input_tokens` leaves the cache out: there, `input` is the sum of all three.
"""
TOKENS = frozenset({"input", "output", *PART_OF})


@dataclass(slots=True, frozen=True)
class Rate:
    """The price of one unit, or of `per` tokens, as a decimal string.

    `over`: of an operation, the quantity above which this rate holds, for what exceeds it (graduated); of a model, the
    input above which the whole call is charged at it (vendors' prices of long prompts).
    """

    unit: str
    price: str
    over: int = 0


@dataclass(slots=True, frozen=True)
class Count:
    """How much of a unit was used, as a decimal string."""

    unit: str
    count: str


@dataclass(slots=True, frozen=True)
class Line:
    """A part of a price: `count` of a unit at `unit_price` (for one, or for `per` tokens) is `amount`, not rounded."""

    unit: str
    count: str
    unit_price: str
    amount: str


@dataclass(slots=True, frozen=True)
class RateCard:
    """The rates of one operation (`price`) or one `model`, of the price version `version`.

    `per`: how many tokens a token's rate is for. `minimum` in units of the asset. `price_list`: the customer's list
    that the card is of. `quote`: the quote that has pinned it.
    """

    version: int
    rates: tuple[Rate, ...]
    price: str | None = None
    model: str | None = None
    per: int = 1
    markup_percent: str = "0"
    minimum: int = 0
    price_list: str | None = None
    quote: str | None = None

    @property
    def name(self) -> str:
        """What is priced, in words."""
        return f"the operation '{self.price}'" if self.model is None else f"the model '{self.model}'"
