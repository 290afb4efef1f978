"""Quotes over HTTP: what a call of a model would cost a user, out of which lots, beside single charges of an amount."""

from __future__ import annotations

from typing import Any

from bench.http import MOST, WARM_S, metered
from bench.rounds import Sample, Side
from bench.world import CONFIG, Ledger

PATH = "/v1/quotes"
PRICED: dict[str, Any] = {
    **CONFIG,
    "prices": {"models": {"bench/large": {"input": "250", "cached": "125", "output": "1000", "markup_percent": 25}}},
}
"""The bench's app with a model, in credits for a million tokens."""
BODY = '{"user":"{user}","model":"bench/large","usage":{"input":1200,"cached":400,"output":300}}'
QUOTES = f"HTTP quotes of a model, {MOST} clients, spread"


def side(ledger: Ledger, seconds: float) -> Side:
    """Quotes for all accounts in turn; the app has prices from now on."""
    ledger.configure(PRICED)

    def run() -> Sample:
        return metered(
            ledger,
            lambda: ledger.load(PATH, BODY, ledger.users, MOST, seconds=seconds + WARM_S, warm_s=WARM_S),
        )

    return Side(QUOTES, run)
