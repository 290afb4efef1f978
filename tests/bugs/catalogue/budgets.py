"""Wrong about budgets and earning: what counts, in which period, and what is told."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_DOMAIN = "services/ledger/domain"
_BUDGETS = f"{_DOMAIN}/budgets.py"
_DECIDE = f"{_DOMAIN}/decide/budgets.py"
_EARNING = f"{_DOMAIN}/decide/earning.py"
_TESTS = (f"{_DOMAIN}/tests/test_budgets.py",)
_ORACLE = ("services/ledger/tests/oracle/test_memory.py",)

BUDGETS = (
    Bug(
        "budget-of-a-stale-period",
        "A budget goes on with what it counted in a period that has ended.",
        "budgets",
        (Edit(_BUDGETS, "return self.end is None or now < self.end", "return True"),),
        _TESTS,
    ),
    Bug(
        "hold-not-counted",
        "An open hold does not count for a budget before it is captured.",
        "budgets",
        (
            Edit(
                "services/ledger/domain/decide/spending.py",
                "budgets.counted(asked, amount)",
                "budgets.counted(asked, 0)",
            ),
        ),
        _ORACLE,
        limit_s=240,
    ),
    Bug(
        "release-not-given-back",
        "What a hold reserved of a budget stays counted after its release.",
        "budgets",
        (
            Edit(
                _DECIDE,
                "return _given_back(recorder, book, totals(book.reserved.get(hold, ())).items())",
                "return ()",
            ),
        ),
        _ORACLE,
        limit_s=240,
    ),
    Bug(
        "soft-budget-told-each-time",
        "A soft budget tells of each charge beyond it.",
        "budgets",
        (Edit(_DECIDE, " and not book.counts[use.name, use.member].told", ""),),
        _TESTS,
    ),
    Bug(
        "capture-counts-twice",
        "A capture counts beside what its hold reserved.",
        "budgets",
        (Edit(_DECIDE, "amount - reserved.get(place, 0) + kept.get(place, 0)", "amount"),),
        _ORACLE,
        limit_s=240,
    ),
    Bug(
        "earning-cap-of-one-rule",
        "A cap looks at what one action gives, not at what all have given.",
        "earning",
        (Edit(_EARNING, "if known.amount + rule.amount > cap.limit:", "if rule.amount > cap.limit:"),),
        (f"{_DOMAIN}/tests/test_earning.py",),
    ),
)
