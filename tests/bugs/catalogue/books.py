"""Wrong about credits: which are spent, when they end, who owes what."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_DOMAIN = "services/ledger/domain"
_STATE = f"{_DOMAIN}/state.py"
_DECIDE = f"{_DOMAIN}/decide/__init__.py"
_DUE = f"{_DOMAIN}/decide/due.py"
_SPENDING = f"{_DOMAIN}/decide/spending.py"
_GRANTING = f"{_DOMAIN}/decide/granting.py"
_RECORDER = f"{_DOMAIN}/decide/recorder.py"
_HELD = f"{_DOMAIN}/evolve/holds.py"
_TESTS = f"{_DOMAIN}/tests"
_BURN_DOWN = f"{_TESTS}/test_burn_down.py"
_HOLDS = f"{_TESTS}/test_holds.py"
_DEBTS = f"{_TESTS}/test_debts.py"
_REFUNDS = f"{_TESTS}/test_refunds.py"

BOOKS = (
    Bug(
        "paid-credits-first",
        "Bought credits burn before given ones that end at the same time.",
        "burn-down order",
        (Edit(_STATE, 'self.source == "paid"', 'self.source != "paid"'),),
        (_BURN_DOWN,),
    ),
    Bug(
        "scope-ignored",
        "Credits of one service are spent on any.",
        "I2",
        (
            Edit(_STATE, "(not lot.terms.scope or service in lot.terms.scope)", "True"),
            Edit(_STATE, " and not lot.terms.scope]", "]"),
        ),
        (_BURN_DOWN,),
    ),
    Bug(
        "owed-ignored",
        "What an account owes does not reduce what it may spend.",
        "I2",
        (Edit(_STATE, "self.overdraft_left - self.owed", "self.overdraft_left"),),
        (_DEBTS,),
    ),
    Bug(
        "hold-draws-on-overdraft",
        "A hold reserves an overdraft as if it were credits.",
        "I2, I5",
        (
            Edit(
                _SPENDING,
                "holdable = min(free, scope_free + account.overdraft_left - account.owed)",
                "holdable = scope_free + account.overdraft_left - account.owed",
            ),
        ),
        (f"{_DEBTS}::test_a_hold_never_draws_on_an_overdraft",),
    ),
    Bug(
        "expiry-by-job-only",
        "Credits past their end are spendable until a sweep has been there.",
        "I2, I5",
        (
            Edit(
                _DECIDE,
                "account, due = present(account, context)",
                "account, due = present(account, context) if isinstance(command, cmd.Sweep) else (account, [])",
            ),
        ),
        (f"{_BURN_DOWN}::test_expired_credits_cannot_be_spent_although_nothing_swept_them",),
    ),
    Bug(
        "hold-expiry-by-job-only",
        "A hold past its limit can be captured until a sweep has been there.",
        "I5",
        (
            Edit(
                _DECIDE,
                "    account, due = present(account, context)\n",
                "    due: list[ev.AccountEvent] = []\n"
                "    if isinstance(command, cmd.Sweep) or not account.holds:\n"
                "        account, due = present(account, context)\n",
            ),
        ),
        (f"{_HOLDS}::test_a_hold_past_its_limit_is_expired_although_no_timer_ran",),
    ),
    Bug(
        "refund-into-wrong-lot",
        "Refunded credits go to the first lot of the account, not to the one they came from.",
        "I5",
        (
            Edit(
                _GRANTING,
                "slices.append(ev.SliceOf(lot_id, ev.Units(amount)))",
                "slices.append(ev.SliceOf(next(iter(recorder.account.lots)), ev.Units(amount)))",
            ),
        ),
        (_REFUNDS,),
    ),
    Bug(
        "refund-into-dead-lot",
        "Refunded credits go back to a lot that has expired or was revoked.",
        "I5",
        (
            Edit(
                _GRANTING,
                "return lot.phase == Phase.LIVE and not ended and not lot.revoked and not lot.revoking",
                "return True",
            ),
        ),
        (_REFUNDS,),
    ),
    Bug(
        "refund-beyond-charge",
        "Refunds of one charge are not counted together.",
        "I1, I5",
        (Edit(_GRANTING, "left = record.amount - record.refunded", "left = record.amount"),),
        (_REFUNDS,),
    ),
    Bug(
        "hold-resolved-twice",
        "A hold stays open after its final capture.",
        "I5",
        (Edit(_HELD, "    if e.final:\n        del holds[e.hold]", "    if False:\n        del holds[e.hold]"),),
        (_HOLDS,),
    ),
    Bug(
        "capture-tolerance-each-time",
        "What a hold may be exceeded by is allowed to each capture anew.",
        "I2",
        (
            Edit(
                _SPENDING,
                "hold.terms.amount + hold.terms.amount * percent // 100 - hold.captured",
                "hold.terms.amount + hold.terms.amount * percent // 100",
            ),
        ),
        (_HOLDS,),
    ),
    Bug(
        "breakage-twice",
        "What a hold has pinned of an expired lot is booked as lost at the expiry and again at its release.",
        "I1, I5",
        (Edit(_DUE, "amount=ev.Units(lot.free)", "amount=ev.Units(lot.remaining)"),),
        (f"{_HOLDS}::test_what_is_released_of_an_expired_lot_is_lost_at_once",),
    ),
    Bug(
        "expired-lot-revived-by-release",
        "A hold that ends gives credits of an expired lot back.",
        "I5",
        (Edit(_RECORDER, "(broken if lot.phase == Phase.EXPIRED else free)", "free"),),
        (f"{_HOLDS}::test_what_is_released_of_an_expired_lot_is_lost_at_once",),
    ),
    Bug(
        "revoke-claims-twice",
        "A second revoke claims again what the first one waits for.",
        "I5",
        (
            Edit(
                _GRANTING,
                "revocable = lot.remaining + lot.spent - lot.revoking",
                "revocable = lot.remaining + lot.spent",
            ),
        ),
        (f"{_TESTS}/test_revokes.py",),
    ),
    Bug(
        "overdraft-repaid-before-debt",
        "New credits repay a used overdraft before what is owed, and the same credits repay both.",
        "I1, I5",
        (
            Edit(
                _RECORDER,
                "min(account.overdraft_used, amount - min(account.owed, amount))",
                "min(account.overdraft_used, amount)",
            ),
        ),
        (_DEBTS,),
    ),
    Bug(
        "postings-out-of-balance",
        "A refund that forgives a debt brings the forgiven part in as credits too.",
        "I1",
        (Edit(f"{_DOMAIN}/postings.py", "(USER, e.amount - e.owed)]", "(USER, e.amount)]"),),
        (_REFUNDS,),
    ),
    Bug(
        "earned-again",
        "An action earns each time that it is reported.",
        "I6",
        (
            Edit(
                f"{_DOMAIN}/decide/earning.py",
                "account.earned.get(rule.remembered_as, 0) >= rule.times",
                "account.earned.get(rule.remembered_as + '!', 0) >= rule.times",
            ),
        ),
        (f"{_TESTS}/test_accounts.py",),
    ),
)
