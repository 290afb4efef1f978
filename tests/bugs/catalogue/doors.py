"""Wrong about many commands at once: batches and gRPC."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_ATOMIC = "services/ledger/writer/atomic.py"
_SENDING = "services/ledger/api/sending.py"
_BATCHES = "services/ledger/tests/http/test_batch.py"
_DOOR = "services/ledger/tests/grpc_door"

DOORS = (
    Bug(
        "atomic-batch-leaves-the-first",
        "What stands before the refused command of an atomic batch happens.",
        "all or none",
        (
            Edit(
                _ATOMIC,
                "    batch.apply_due_of(trial, request)\n",
                "    batch.take_over(trial)\n",
            ),
        ),
        (f"{_BATCHES}::test_none_of_an_atomic_batch",),
    ),
    Bug(
        "atomic-batch-forgets-what-was-due",
        "A refused batch leaves what time had made due undone, though its refusal was decided after it.",
        "I5",
        (Edit(_ATOMIC, "    batch.apply_due_of(trial, request)\n", ""),),
        ("services/ledger/tests/writer/test_together.py::test_what_time_has_made_due_happens_even_when_they_do_not",),
    ),
    Bug(
        "partly-known-batch-is-done",
        "Of an atomic batch whose first commands are known, the others are done on their own.",
        "all or none",
        (Edit(_ATOMIC, "    if known and len(known) < len(items):\n", "    if False:\n"),),
        (f"{_BATCHES}::test_an_atomic_batch_of_which_some_is_known",),
    ),
    Bug(
        "batch-item-without-its-own-scope",
        "Whoever may send one kind of command may send every kind in a batch.",
        "roles and scopes",
        (Edit(_SENDING, "if self.principal.scopes.isdisjoint(SCOPES[item.type]):", "if False:"),),
        (f"{_BATCHES}::test_each_item_needs_its_own_scope",),
    ),
    Bug(
        "batch-item-with-another-fingerprint",
        "A command in a batch is another one than the same command alone, because its type and key count.",
        "I6",
        (Edit("services/ledger/handlers/items.py", 'frozenset({"type", "key"})', "frozenset[str]()"),),
        (f"{_BATCHES}::test_results_come_in_order_each_as_it_would_alone",),
    ),
    Bug(
        "stream-without-a-bound",
        "A stream is read however little of its results is taken.",
        "limits",
        (
            Edit(
                "services/ledger/grpc_api/stream.py",
                "            await self._until_under_way(self._outstanding_max - 1)\n",
                "",
            ),
        ),
        (f"{_DOOR}/test_stream.py::test_a_caller_that_takes_no_results_is_held_back",),
    ),
    Bug(
        "grpc-key-dropped",
        "The idempotency key in a message is not used: only the one in the metadata is.",
        "I6",
        (Edit("services/ledger/grpc_api/calls.py", "    if key:\n", "    if key and KEY not in headers and False:\n"),),
        (f"{_DOOR}/test_parity.py::test_a_key_is_needed_and_may_stand_in_the_metadata",),
    ),
)
