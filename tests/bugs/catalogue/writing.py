"""Wrong about writing: who may append, what is answered when, in which order, and what the log proves."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_APPEND_SQL = "services/ledger/migrations/0003_append.sql"
_ENGINE = "services/ledger/writer/engine.py"
_LEADER = "services/ledger/writer/leader.py"
_BATCH = "services/ledger/writer/batch.py"
_PRESENT = "services/ledger/present.py"
_CHECKS = "services/ledger/verify/checks.py"
_TESTS = "services/ledger/tests/writer"
_AMBIGUOUS = f"{_TESTS}/test_ambiguous.py"
_ORDER = f"{_TESTS}/test_order.py"
_LEASE = f"{_TESTS}/test_lease.py"
_READS = "services/ledger/tests/http/test_reads.py"
_VERIFY = "services/ledger/tests/truth/test_verify.py"

WRITING = (
    Bug(
        "no-epoch-check",
        "The append does not compare epochs: a writer that was replaced goes on writing.",
        "I8, C11",
        (Edit(_APPEND_SQL, "IF fenced > 0 THEN", "IF false THEN"),),
        (f"{_TESTS}/test_append.py", f"{_TESTS}/test_fencing.py"),
    ),
    Bug(
        "no-position-check",
        "The append does not compare positions: whoever has an old picture of the log writes over or beyond its end.",
        "I3",
        (
            Edit(
                _APPEND_SQL,
                "IF stale > 0 OR locked <> cardinality(partitions) THEN",
                "IF locked < -1 OR stale < 0 THEN",
            ),
        ),
        (f"{_TESTS}/test_append.py",),
    ),
    Bug(
        "answer-before-commit",
        "Callers are answered when the batch is sent, not when it is committed.",
        "I6, C2",
        (
            Edit(
                _ENGINE,
                "await append(self._connection, parameters(batch.rows))",
                "[self._answer(batch), await append(self._connection, parameters(batch.rows))]",
            ),
        ),
        (_AMBIGUOUS, f"{_TESTS}/test_fencing.py"),
    ),
    Bug(
        "ambiguous-taken-for-committed",
        "A batch whose connection was lost counts as committed without a look at the heads.",
        "I5, C2",
        (
            Edit(
                _ENGINE,
                "bool(moved) and all(heads[after.partition].hash == after.hash for after in moved)",
                "bool(moved)",
            ),
        ),
        (_AMBIGUOUS,),
    ),
    Bug(
        "ambiguous-not-fenced",
        "After a lost connection the heads are read without fencing what the old one has sent, which may still commit.",
        "C3",
        (
            Edit(
                _LEADER,
                "                return await self._take_over()\n",
                "                connection = await self._connect()\n"
                "                rows = await connection.fetch('SELECT * FROM heads WHERE shard = $1', self._shard)\n"
                "                return connection, {r['partition']: Head(r['partition'], r['position'], r['hash'],"
                " r['epoch'], store.from_datetime(r['time'])) for r in rows}\n",
            ),
        ),
        (_AMBIGUOUS,),
    ),
    Bug(
        "batch-in-flight-not-seen",
        "A batch is decided without what the one before it, still being committed, has decided.",
        "I2, I5",
        (
            Edit(
                _ENGINE,
                "return (self._base,) if self._inflight is None else (self._inflight.layer, self._base)",
                "return (self._base,)",
            ),
        ),
        (f"{_ORDER}::test_what_arrives_while_a_batch_commits_is_decided_on_top_of_it",),
    ),
    Bug(
        "lease-by-wall-clock",
        "The lease is reckoned by the time of day.",
        "C11",
        (
            Edit(
                _LEADER, "self._clock.monotonic() - self._renewed_at", "self._clock.now_us() / 1e6 - self._renewed_at"
            ),
            Edit(_LEADER, "sent = self._clock.monotonic()", "sent = self._clock.now_us() / 1e6", times=2),
            Edit(
                _LEADER,
                "self._times.answer_s - self._clock.monotonic()",
                "self._times.answer_s - self._clock.now_us() / 1e6",
            ),
        ),
        (_LEASE,),
    ),
    Bug(
        "answers-without-lease",
        "A leader answers although its lease has run out.",
        "I9, C11",
        (Edit(_LEADER, "return self._clock.monotonic() - self._renewed_at < self._times.answer_s", "return True"),),
        (_LEASE,),
    ),
    Bug(
        "sweeps-before-live-commands",
        "Callers wait until all sweeps are done.",
        "sweeps run behind live commands",
        (
            Edit(
                _ENGINE,
                "while self._queue and len(requests)",
                "while self._queue and not self._sweeps and len(requests)",
            ),
        ),
        (f"{_ORDER}::test_sweeps_wait_behind_live_commands",),
    ),
    Bug(
        "time-goes-back",
        "Events are given the machine's time as it is, though the log has been later.",
        "I9",
        (
            Edit(
                _ENGINE,
                "self._last_us = max(self._with.clock.now_us(), self._last_us)",
                "self._last_us = self._with.clock.now_us()",
            ),
        ),
        (f"{_ORDER}::test_the_time_of_events_never_goes_back",),
    ),
    Bug(
        "reads-before-what-is-due",
        "A read shows the account as it was left, not as time has made it since.",
        "I5, I9",
        (Edit(_PRESENT, "return due_by(account, config, time_us)[0]", "return account"),),
        (f"{_READS}::test_an_expired_lot_is_not_there_whether_or_not_a_sweep_ran",),
    ),
    Bug(
        "read-your-writes-ignored",
        "A read that asks for a position is answered from before it.",
        "I9",
        (Edit(_PRESENT, "while await reads.head_position(core.reads, partition) < position:", "while False:"),),
        (f"{_READS}::test_min_position_waits_and_gives_up",),
    ),
    Bug(
        "chain-without-predecessor",
        "A hash does not cover the one before it, so that one event can be rewritten alone.",
        "I4",
        (Edit("services/ledger/domain/chain.py", "parts = [previous]", "parts = [b'']"),),
        ("services/ledger/domain/tests/test_chain.py",),
    ),
    Bug(
        "text-digest-unchecked",
        "An erasable text may be exchanged for another.",
        "I4",
        (Edit(_CHECKS, "if digest != expected:", "if False:"),),
        (f"{_VERIFY}::test_a_changed_table_is_named[UPDATE texts SET body = 'other'-is not the one that was written]",),
    ),
    Bug(
        "anchors-beyond-the-end-ignored",
        "A tail cut off together with its head is not noticed, although an anchor has seen it.",
        "I4",
        (Edit(_CHECKS, "if beyond:", "if False:"),),
        (f"{_VERIFY}::test_a_cut_tail_is_found_by_anchors_alone",),
    ),
    Bug(
        "log-read-by-id",
        "Relay and feed read the log in the order of event ids, which is that of some clock.",
        "I10",
        (Edit("services/ledger/store/log_source.py", "ORDER BY position LIMIT $3", "ORDER BY event_id LIMIT $3"),),
        (f"{_ORDER}::test_the_log_is_read_in_the_order_of_its_positions",),
    ),
)
