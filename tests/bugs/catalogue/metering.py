"""Wrong about paid work: the metering proxy, the client's decorator, and streams that show what was paid."""

from __future__ import annotations

from tests.bugs.bug import Bug, Edit

_CALLS = "services/meter/handlers/calls.py"
_PAYING = "services/meter/handlers/paying.py"
_METERED = "libs/client/tallystick/metered.py"
_FOLLOWING = "services/ledger/following.py"
_KILLED = "tests/e2e/test_meter_killed.py::test_x3_a_call_is_paid_once_wherever_the_proxy_dies"
_PAID = "tests/e2e/test_metered.py"
_STREAMS = "services/ledger/tests/http/test_streams.py"

METERING = (
    Bug(
        "meter-shows-before-it-notes",
        "A token is shown to its reader before the journal says so: a proxy that dies forgets what was read.",
        "X3",
        (
            Edit(_CALLS, "            self._desk.journal.made(self.id, made)\n", ""),
            Edit(
                _CALLS,
                "                        await push(event)\n                    elif",
                "                        await push(event)\n"
                "                        self._desk.journal.made(self.id, self._made)\n                    elif",
            ),
        ),
        (f"{_KILLED}[case4]",),
        limit_s=180,
    ),
    Bug(
        "meter-extension-not-held",
        "An extension that the account cannot pay is taken for granted: the stream goes on.",
        "X2",
        (
            Edit(
                _PAYING,
                "            reach_.refused()\n        else:\n",
                "            reach_.granted()\n        else:\n",
            ),
        ),
        ("tests/e2e/test_meter.py::test_x2_a_stream_ends_at_the_last_affordable_token",),
        limit_s=180,
    ),
    Bug(
        "meter-settles-again",
        "A call that was captured before the proxy died is captured anew, and its hold taken for one that has expired.",
        "X3",
        (
            Edit(_PAYING, 'key = f"{self._call.id}-captured"', "key = None"),
            Edit(_PAYING, 'if due is None or ended.hold.get("status") != "expired":', "if due is None:"),
        ),
        (f"{_KILLED}[case6]",),
        limit_s=180,
    ),
    Bug(
        "metered-charges-failures",
        "A function that raises is charged like one that returns.",
        "A3",
        (
            Edit(
                _METERED,
                "            result = await function(*args, **kwargs)\n",
                "            try:\n                result = await function(*args, **kwargs)\n"
                "            except Exception:\n                await sale.capture()\n                raise\n",
            ),
        ),
        (f"{_PAID}::test_a3_a_function_is_charged_after_it_succeeded",),
        limit_s=180,
    ),
    Bug(
        "metered-ignores-its-key",
        "Work under a key is charged each time that it is tried.",
        "X3",
        (Edit(_METERED, "None if self.key is None else found(self.key)", "None"),),
        (f"{_PAID}::test_x3_a_job_is_charged_once_however_often_it_is_tried",),
        limit_s=180,
    ),
    Bug(
        "stream-resumes-one-late",
        "Who comes back to an account's stream misses the version after the one seen.",
        "I9",
        (Edit(_FOLLOWING, "if moment.account.version > seen:", "if moment.account.version > seen + 1:"),),
        (f"{_STREAMS}::test_an_account_stream_resumes_behind_the_version_seen",),
    ),
    Bug(
        "stream-outlives-its-token",
        "A stream tells whoever opened it, however long ago the token expired.",
        "roles and scopes",
        (
            Edit(
                "services/ledger/api/streams.py",
                "                principal_of(self._request)\n                yield chunk\n",
                "                yield chunk\n",
            ),
        ),
        (f"{_STREAMS}::test_a_stream_ends_with_its_token",),
    ),
    Bug(
        "meter-loses-its-place",
        "A call that could not be written down uses up its place for good.",
        "every limit is given back",
        (
            Edit(
                _CALLS,
                "        desk.journal.begin(call)\n        desk.under_way += 1\n",
                "        desk.under_way += 1\n        desk.journal.begin(call)\n",
            ),
        ),
        ("services/meter/tests/test_desk.py::test_a_full_disk_uses_up_no_place",),
    ),
)
