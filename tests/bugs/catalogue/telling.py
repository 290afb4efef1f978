"""Bugs in what is told of the books: streams and explanations."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_STREAMS = "services/ledger/streams.py"
_STREAM_TESTS = "services/ledger/tests/http/test_streams.py"

TELLING: tuple[Bug, ...] = (
    Bug(
        "stream-drops-what-is-too-much",
        "A stream loses the events that its queue does not take, and says nothing.",
        "I9",
        (Edit(_STREAMS, "            self._behind = True\n", "            pass\n"),),
        (f"{_STREAM_TESTS}::test_a_reader_who_is_slow_misses_nothing",),
    ),
    Bug(
        "stream-resumes-too-early",
        "A stream that resumes tells the last event once more.",
        "I9",
        (
            Edit(
                "services/ledger/following.py",
                "if moment.account.version > seen:",
                "if moment.account.version >= seen:",
            ),
        ),
        (f"{_STREAM_TESTS}::test_an_account_stream_resumes_behind_the_version_seen",),
    ),
    Bug(
        "explanation-takes-refunds-for-charges",
        "What a refund gives back to a lot is told as taken from it.",
        "I2",
        (
            Edit(
                "services/ledger/domain/explain/flows.py",
                'lambda e: _back(e.slices, "refunded")',
                'lambda e: _all(e.slices, "refunded")',
            ),
        ),
        ("services/ledger/domain/tests/test_refunds.py",),
    ),
)
