"""Wrong about codes: uses, the keys of what is asked, an app's time, who redeems."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_ONCE = "libs/service/once.py"
_ONCE_TESTS = "libs/service/tests/test_once.py"
_TESTS = "services/codes/tests"
_STORE = "services/codes/store"
_HANDLERS = "services/codes/handlers"

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
    Bug(
        "limit-looked-at-first",
        "Whether a limit leaves a use is read, and then one is counted: many at once read the same.",
        "K1",
        (
            Edit(f"{_STORE}/codes.py", "codes WHERE id = ANY($1) ORDER BY id FOR UPDATE", "codes WHERE id = ANY($1)"),
            Edit(
                f"{_STORE}/redemptions.py",
                " WHERE id = $1 AND (max_uses IS NULL OR reserved + redeemed < max_uses) RETURNING true",
                " WHERE id = $1 RETURNING true",
            ),
        ),
        (f"{_TESTS}/checkout/test_reserving.py::test_many_at_once_take_a_limit_exactly",),
    ),
    Bug(
        "budget-looked-at-first",
        "What is left of a campaign's budget is read, and then some is taken: many at once read the same.",
        "K1",
        (
            Edit(
                f"{_STORE}/codes.py",
                "campaigns WHERE id = ANY($1) ORDER BY id FOR UPDATE",
                "campaigns WHERE id = ANY($1)",
            ),
            Edit(f"{_STORE}/redemptions.py", " AND (budget IS NULL OR reserved + spent + $2 <= budget)", ""),
        ),
        (f"{_TESTS}/checkout/test_reserving.py::test_a_budget_of_credits_is_spent_exactly",),
    ),
    Bug(
        "timer-ends-what-was-sent",
        "A reservation whose command was sent expires by the timer, though the ledger may grant yet.",
        "K3",
        (
            Edit(f"{_HANDLERS}/reserving.py", "command_id=command_id, expires_at=None)", "command_id=command_id)"),
            Edit("services/codes/domain/redemptions.py", "if self.waiting and not claim.outcome:", "if False:"),
        ),
        (f"{_TESTS}/test_expiry.py::test_what_waits_for_the_ledger_waits_for_as_long_as_it_takes",),
    ),
    Bug(
        "outcome-counted-again",
        "An outcome that is settled a second time counts a second time.",
        "K1",
        (
            Edit(f"{_HANDLERS}/ending.py", "if ended.status != redemption.status:", "if True:"),
            Edit(f"{_HANDLERS}/ending.py", "- (counted(before.status) == count)", '- (count == "reserved")'),
            Edit(f"{_HANDLERS}/outcomes.py", "if one.waiting and one.command_id", "if one.command_id"),
        ),
        (f"{_TESTS}/test_expiry.py::test_what_waits_for_the_ledger_waits_for_as_long_as_it_takes",),
    ),
    Bug(
        "command-by-itself",
        "The command for the credits is sent in a transaction of its own: a reservation that dies leaves it behind.",
        "K3, I7",
        (
            Edit(
                f"{_HANDLERS}/reserving.py",
                "        command_id = await send_grant(core, connection, redemption, code, order.cause)",
                "        async with core.pool.acquire() as other, other.transaction():\n"
                "            command_id = await send_grant(core, other, redemption, code, order.cause)",
            ),
        ),
        (f"{_TESTS}/checkout/test_reserving.py::test_a_reservation_that_dies_asks_the_ledger_for_nothing",),
    ),
    Bug(
        "locked-out-of-wrong-codes-only",
        "Whether somebody is locked out is looked at after the code: a right one still works.",
        "K3",
        (
            Edit(f"{_HANDLERS}/guarding.py", "    await admit(core, connection, order)\n    digest", "    digest"),
            Edit(
                f"{_HANDLERS}/guarding.py",
                "        return Found(None, [NOT_FOUND])\n    checkout =",
                "        await admit(core, connection, order)\n        return Found(None, [NOT_FOUND])\n    checkout =",
            ),
        ),
        (f"{_TESTS}/guard/test_guessing.py::test_the_sixth_guess_is_locked_out_even_if_it_is_right",),
    ),
    Bug(
        "users-use-not-given-back",
        "What a release gives back to a code still counts for its user.",
        "K1",
        (
            Edit(
                f"{_STORE}/redemptions.py",
                "SET reserved = u.reserved + m.res,",
                "SET reserved = u.reserved + greatest(m.res, 0),",
            ),
        ),
        (f"{_TESTS}/checkout/test_reserving.py::test_what_has_ended_is_taken_again_under_the_limits_of_then",),
    ),
    Bug(
        "hidden-code-tells",
        "Whoever enters a made code is told why it does not work, and so that it exists.",
        "K3",
        (
            Edit(
                f"{_HANDLERS}/guarding.py",
                "return known or code.text is not None or code.audience.holder == order.user",
                "return True",
            ),
        ),
        (f"{_TESTS}/guard/test_guessing.py::test_unknown_misshapen_and_hidden_codes_are_refused_alike",),
    ),
    Bug(
        "chunk-without-its-place",
        "The codes of a chunk are there before it is written down how far the batch is: the next worker makes more.",
        "K1",
        (
            Edit(
                f"{_HANDLERS}/batches.py",
                "    async with core.pool.acquire() as connection, connection.transaction():\n"
                "        batch, seed = await batches.lock_batch(connection, batch_id)\n        reach",
                "    async with core.pool.acquire() as connection:\n"
                "        batch, seed = await batches.lock_batch(connection, batch_id)\n        reach",
            ),
        ),
        (f"{_TESTS}/test_batches.py::test_a_chunk_that_dies_anywhere_leaves_no_code_twice_and_none_missing",),
    ),
)
