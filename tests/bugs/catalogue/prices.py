"""Wrong about prices: what something costs, and by which prices."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_PRICING = "services/ledger/domain/pricing"
_COST = f"{_PRICING}/cost.py"
_COSTS = f"{_PRICING}/tests/test_cost.py"
_OVER_HTTP = "services/ledger/tests/http/test_prices.py"

PRICES = (
    Bug(
        "rounded-by-the-line",
        "Each line of a price is rounded up, not their sum once.",
        "a price is exact",
        (Edit(_COST, "        exact += amount\n", "        exact += -(-amount // 10**22) * 10**22\n"),),
        (_COSTS,),
    ),
    Bug(
        "minimum-before-mark-up",
        "The minimum is marked up, too.",
        "a price is exact",
        (
            Edit(
                _COST,
                "max(-(-marked // 10 ** (_TOTAL_PLACES - scale)), card.minimum)",
                "max(-(-marked // 10 ** (_TOTAL_PLACES - scale)),"
                " -(-card.minimum * (_PERCENT + scaled(card.markup_percent, PERCENT_PLACES)) // _PERCENT))",
            ),
        ),
        (_COSTS,),
    ),
    Bug(
        "captured-at-todays-prices",
        "A capture by usage goes by the price book of its time, not by what its hold has pinned.",
        "what is pinned stays",
        (
            Edit(
                "services/ledger/domain/decide/pricing.py",
                "    return _of_card(recorder, card, usage)\n",
                "    ask = cmd.Ask(price=card.price, model=card.model, usage=usage)\n"
                "    return _of_card(recorder, *_asked(recorder, ask))\n",
            ),
        ),
        (f"{_OVER_HTTP}::test_a_hold_pins_its_prices_and_is_captured_by_usage",),
    ),
    Bug(
        "quote-blind-to-budgets",
        "A quote says that something can be paid which a budget then refuses.",
        "a quote is what a charge then does",
        (
            Edit(
                "services/ledger/domain/decide/pricing.py",
                "    budget = budgets.refusing(recorder, command.labels, amount)\n",
                "    budget = None\n",
            ),
        ),
        (f"{_OVER_HTTP}::test_a_quote_names_the_budget_that_would_refuse_it",),
    ),
)
