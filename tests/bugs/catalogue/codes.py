"""Wrong about codes: uses, the keys of what is asked, an app's time, who redeems."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_ONCE = "libs/service/once.py"
_ONCE_TESTS = "libs/service/tests/test_once.py"
_TESTS = "services/codes/tests"

CODES = (
    Bug(
        "undecided-answers-kept",
        "A repeat gets a refusal again that would be none by now, such as one for asking too often.",
        "K3",
        (Edit(_ONCE, "if problem.status not in KEPT:", "if problem.status >= 500:"),),
        (f"{_ONCE_TESTS}::test_what_was_not_decided_is_not_kept",),
    ),
    Bug(
        "refused-yet-done",
        "What was written before a refusal stays.",
        "K3",
        (
            Edit(
                _ONCE,
                "            async with connection.transaction():\n                result = await effect(connection)",
                "            result = await effect(connection)",
            ),
        ),
        (f"{_ONCE_TESTS}::test_a_decided_refusal_undoes_the_effect_and_is_kept",),
    ),
    Bug(
        "use-not-given-back",
        "A reservation that has ended still counts.",
        "K1",
        (Edit("services/codes/handlers/ending.py", "- (counted(before.status) == count)", "- 0"),),
        (f"{_TESTS}/test_expiry.py::test_a_reservation_ends_after_15_minutes_and_gives_its_use_back",),
    ),
    Bug(
        "codes-live-by-the-wall",
        "An app in test mode has the system's time in codes.",
        "K2",
        (Edit("services/codes/core.py", "return self.clocks.now_us(app)", "return self.clock.now_us()"),),
        (f"{_TESTS}/test_expiry.py::test_time_goes_by_the_clock_of_an_app_in_test_mode",),
    ),
    Bug(
        "clock-by-the-same-connections",
        "As many writes as there are connections wait for one more, to ask for the time.",
        "K3",
        (Edit("services/codes/running.py", "clocks.open(clock_pool,", "clocks.open(pool,"),),
        (f"{_TESTS}/test_expiry.py::test_more_at_once_than_there_are_connections_all_learn_the_time",),
        limit_s=120,
    ),
    Bug(
        "everybody-redeems",
        "A user's own token redeems.",
        "K3",
        (
            Edit(
                "services/codes/api/redemptions.py",
                "principal = permitted(request, SPEND)\n    core = core_of(request)",
                "principal = permitted(request, SPEND, READ)\n    core = core_of(request)",
            ),
        ),
        (f"{_TESTS}/test_permissions.py::test_users_see_their_own_redemptions_and_redeem_nothing",),
    ),
)
