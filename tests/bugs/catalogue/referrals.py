"""Referrals that pay who should not be paid, twice, or not at all."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_TESTS = "services/codes/tests/referrals"
_HANDLERS = "services/codes/handlers/referrals"

REFERRALS: tuple[Bug, ...] = (
    Bug(
        "referral-circle-at-once",
        "Bindings of an app do not wait for each other: several at once close a circle.",
        "V1",
        (Edit("services/codes/store/referrals.py", "WHERE app = $1 FOR UPDATE", "WHERE app = $1"),),
        (f"{_TESTS}/test_binding.py::test_circles_cannot_close_between_bindings_at_once",),
    ),
    Bug(
        "referral-refund-by-the-timer",
        "A refund after the hold cancels, where the timer was late.",
        "V1",
        (
            Edit(
                "services/codes/domain/referrals/rewards.py",
                'refunded_at_us < due_us or after_refund == "revoke"',
                "refunded_at_us <= due_us",
            ),
        ),
        (f"{_TESTS}/test_earning.py::test_a_refund_after_the_hold",),
    ),
    Bug(
        "referral-refund-on-its-way",
        "A reward that was on its way when its order was refunded is not taken back.",
        "V1",
        (Edit(f"{_HANDLERS}/outcomes.py", "if reward.take_back:", "if reward.take_back and reward.grant_id:"),),
        (f"{_TESTS}/test_earning.py::test_a_refund_within_the_hold_that_is_heard_of_too_late_is_taken_back",),
    ),
    Bug(
        "referral-month-by-greenwich",
        "A month's limit counts by the months of UTC, whatever the app's zone.",
        "V1",
        (Edit(f"{_HANDLERS}/earning.py", "ZoneInfo(core.configs.get(due.app).document.zone)", 'ZoneInfo("UTC")'),),
        (f"{_TESTS}/test_earning.py::test_the_months_limit_cuts_and_then_refuses",),
    ),
    Bug(
        "referral-flag-lost-above",
        "The second level is paid although the referral in between waits for somebody's approval.",
        "V1",
        (
            Edit(
                f"{_HANDLERS}/earning.py",
                'referral.review == "waiting" or (via is not None and via.review == "waiting")',
                'referral.review == "waiting"',
            ),
        ),
        (f"{_TESTS}/test_earning.py::test_the_second_level_waits_for_the_review_of_who_stands_between",),
    ),
)
