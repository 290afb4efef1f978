"""No refusal leaves its caller without advice."""

from __future__ import annotations

import re
from pathlib import Path

from services.ledger.domain.rejections import Rejected
from services.ledger.refusals import NEXT, problem_of

LEDGER = Path(__file__).parents[1]
_RAISED = re.compile(
    r"""(?:Rejected\(\s*\d+,\s*|conflict\(\s*)"([a-z_]+)"|code = "([a-z_]+)" if .* else "([a-z_]+)\""""
)


def raised_codes() -> set[str]:
    """The codes that the ledger's sources refuse with."""
    found: set[str] = set()
    for path in LEDGER.rglob("*.py"):
        if "tests" not in path.parts:
            found.update(code for match in _RAISED.findall(path.read_text()) for code in match if code)
    return found


def test_every_refusal_says_what_to_do_next() -> None:
    codes = raised_codes()
    assert len(codes) > 15
    assert codes - NEXT.keys() == set()
    for code in codes | {"grant_not_found"}:
        assert problem_of(Rejected(409, code, "No.")).to_dict()["next"], code


def test_a_refusal_keeps_what_the_caller_needs() -> None:
    fault = {"field": "ttl_s", "code": "ttl_too_long", "detail": "Too long."}
    document = problem_of(Rejected(400, "invalid_request", "Too long.", {"errors": [fault], "limit": 5})).to_dict("r1")
    assert document["errors"] == [fault]
    assert (document["limit"], document["request_id"], document["title"]) == (5, "r1", "Invalid request")
