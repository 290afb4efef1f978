"""Months that end wrongly."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_DOMAIN = "services/ledger/domain"
_TESTS = f"{_DOMAIN}/tests/test_allowances.py"

ALLOWANCES = (
    Bug(
        "allowance-piles-up",
        "What is left of an allowance is added to the next, whatever the plan says.",
        "I2",
        (
            Edit(
                f"{_DOMAIN}/allowances.py",
                "return min(self.carry_max, max(self.carry_min, rest))",
                "return max(self.carry_min, rest)",
            ),
        ),
        (f"{_TESTS}::test_unused_allowance_does_not_pile_up_and_other_credits_stay",),
    ),
    Bug(
        "reset-takes-bought-credits",
        "A reset ends every lot of the account, not only those of the allowance.",
        "I2, I5",
        (
            Edit(
                f"{_DOMAIN}/allowances.py",
                "names = () if account.allowance is None else account.allowance.lots",
                "names = () if account.allowance is None else tuple(account.lots)",
            ),
        ),
        (f"{_TESTS}::test_unused_allowance_does_not_pile_up_and_other_credits_stay",),
    ),
    Bug(
        "reset-by-the-present-configuration",
        "A late reset goes by the configuration of now, not by the one in force when it was due.",
        "I5",
        (
            Edit(
                f"{_DOMAIN}/decide/allowances.py",
                "config = recorder.context.config.at(due)",
                "config = recorder.context.config",
            ),
        ),
        (f"{_TESTS}::test_a_reset_uses_the_configuration_that_was_in_force_when_it_was_due",),
    ),
    Bug(
        "reset-twice-a-month",
        "A reset does not move the end of the period, so that the next command finds it due again.",
        "I2, I5",
        (
            Edit(
                f"{_DOMAIN}/evolve/allowances.py",
                "period_end=e.period_end,\n        carried=e.carried,",
                "period_end=before.period_end,\n        carried=e.carried,",
            ),
        ),
        (f"{_TESTS}::test_a_reset_happens_once_in_a_period",),
    ),
    Bug(
        "month-told-again",
        "The end of a month's resets is told under another key each time, and so once more after a lost answer.",
        "I6",
        (
            Edit(
                "services/ledger/resets.py", 'return f"reset:{month.due_at}:{partition}"', 'return f"reset:{id(month)}"'
            ),
        ),
        ("services/ledger/tests/writer/test_resets.py::test_a9_a_process_that_comes_later_says_nothing_twice",),
    ),
    Bug(
        "month-counts-who-still-has-it",
        "Of the accounts that a month has reset, those count that begin nothing since.",
        "I5",
        (
            Edit(
                "services/ledger/store/reads.py",
                "AND app = $3 AND effective_at = $4",
                "AND app = $3 AND effective_at = $4 AND live",
            ),
        ),
        (
            "services/ledger/tests/writer/test_resets.py::test_a9_who_has_another_plan_since_is_counted_when_it_is_told_late",
        ),
    ),
)
