"""Wrong about once: keys, unique references, transfers, places in Kafka."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_BATCH = "services/ledger/writer/batch.py"
_KEYS = "services/ledger/writer/once.py"
_HTTP = "services/ledger/tests/http"
_ONCE = f"{_HTTP}/test_once.py"
_ORDER = "services/ledger/tests/writer/test_order.py"

ONCE = (
    Bug(
        "key-without-caller",
        "Two callers who use the same idempotency key get each other's answers.",
        "I6",
        (
            Edit(
                _KEYS,
                "self._find.result((request.app, request.user, request.key, request.caller))",
                "self._find.result((request.app, request.user, request.key, ''))",
            ),
            Edit(
                _KEYS,
                "key = (request.app, request.user, request.key, request.caller)",
                "key = (request.app, request.user, request.key, '')",
            ),
        ),
        (f"{_ONCE}::test_a_key_belongs_to_its_caller_and_user",),
    ),
    Bug(
        "refused-without-a-look-at-the-key",
        "What is refused with nothing stored is refused although it may be the repeat of a success.",
        "I6",
        (Edit(_BATCH, "if rejected.status not in REPEATABLE and not self._once.key_is_known(request):", "if False:"),),
        (
            "services/ledger/tests/writer/test_repeats.py::test_a_repeat_that_would_be_refused_today_is_the_first_answer",
        ),
    ),
    Bug(
        "repeat-taken-for-a-spoilt-batch",
        "After a repeat that the append has found, keys are still not looked up.",
        "I6",
        (Edit("services/ledger/writer/engine.py", "if error.repeat and batch.keys_unread:", "if False:"),),
        ("services/ledger/tests/writer/test_repeats.py::test_a_repeat_that_nobody_looked_up_is_found_by_the_append",),
    ),
    Bug(
        "fingerprint-not-compared",
        "Another request under a used key gets the first one's answer.",
        "I6",
        (Edit(_KEYS, "if result.fingerprint != request.fingerprint:", "if False:"),),
        (f"{_ONCE}::test_another_body_is_refused",),
    ),
    Bug(
        "replay-tells-present-balance",
        "A repeat is answered with the balance as it is now, not with the first answer.",
        "I6",
        (
            Edit(
                _KEYS,
                "return Repeat(Answer(result.status, result.body, replayed=True), told, by_ref=False)",
                "account = self._find.account((request.app, request.user,"
                " newest(self._layers.configs, request.app).default_asset))\n"
                "                body = orjson.loads(result.body)\n"
                "                if account is not None and 'settled' in body:\n"
                "                    body['settled'] = str(account.settled)\n"
                "                answer = Answer(result.status, orjson.dumps(body), replayed=True)\n"
                "                return Repeat(answer, told, by_ref=False)",
            ),
            Edit(_KEYS, "from typing import NamedTuple\n", "from typing import NamedTuple\nimport orjson\n"),
        ),
        ("services/ledger/tests/writer/test_repeats.py",),
    ),
    Bug(
        "outcome-kept-in-memory-only",
        "Outcomes under keys are not stored with their effects: after a restart a repeat happens again.",
        "I6, C5",
        (Edit(_KEYS, "self._rows.results.append(", "[].append("),),
        (f"{_HTTP}/test_failures.py::test_state_and_keys_outlive_the_process",),
    ),
    Bug(
        "refusals-not-kept",
        "A refused command that is delivered again may succeed.",
        "I6",
        (Edit(_KEYS, "REPEATABLE = frozenset({402, 404, 409})", "REPEATABLE = frozenset[int]()"),),
        (f"{_ONCE}::test_a_refusal_is_an_outcome",),
    ),
    Bug(
        "unique-ref-claimed-by-refusal",
        "A unique_ref is claimed before the effect: after a refusal it can never be used.",
        "I6",
        (
            Edit(
                _BATCH,
                "        if outcome.rejected is not None:\n",
                "        if outcome.rejected is not None:\n"
                "            self._once.claim(request, '', Answer(outcome.rejected.status, b'{}'))\n",
            ),
        ),
        (f"{_ONCE}::test_a_refusal_claims_no_unique_ref",),
    ),
    Bug(
        "unique-ref-not-claimed",
        "The same business reference under another key happens again.",
        "I6",
        (Edit(_KEYS, "        if request.unique_ref is None:\n            return\n", "        return\n"),),
        (f"{_ONCE}::test_a_unique_ref_makes_it_happen_once_for_ever",),
    ),
    Bug(
        "transfer-credited-twice",
        "A credit that comes again under another key credits again.",
        "I11",
        (
            Edit(
                _BATCH,
                "if stored is None or stored.status != expected:",
                "if request.type != 'transfer.credit' and (stored is None or stored.status != expected):",
            ),
        ),
        (f"{_ORDER}::test_a_step_of_a_transfer_is_taken_once",),
    ),
    Bug(
        "transfer-returned-and-credited",
        "What has arrived can be returned too.",
        "I11",
        (
            Edit(
                _BATCH,
                "if stored is None or stored.status != expected:",
                "if request.type != 'transfer.return' and (stored is None or stored.status != expected):",
            ),
        ),
        (f"{_ORDER}::test_a_step_of_a_transfer_is_taken_once",),
    ),
    Bug(
        "kafka-place-apart-from-effect",
        "The place in the topic of commands is stored before their effects, in a transaction of its own.",
        "C6",
        (
            Edit(
                "services/ledger/store/append.py",
                "        await connection.execute(APPEND, *arguments)\n",
                "        rest = orjson.loads(arguments[5]) if arguments[5] else {}\n"
                "        for row in rest.pop('cursors', []):\n"
                "            await connection.execute(\n"
                "                'INSERT INTO command_cursors (cluster_id, topic, partition, next_offset)'\n"
                "                ' VALUES ($1, $2, $3, $4) ON CONFLICT (cluster_id, topic, partition)'\n"
                "                ' DO UPDATE SET next_offset = excluded.next_offset', *row.values())\n"
                "        arguments = [*arguments[:5], orjson.dumps(rest).decode() if rest else None]\n"
                "        await connection.execute(APPEND, *arguments)\n",
            ),
        ),
        (f"{_ORDER}::test_a_place_in_kafka_moves_with_the_effect_or_not_at_all",),
    ),
)
