"""Problem documents: every field where RFC 9457 and the contract want it."""

import orjson
import pytest

from libs.service import problems
from libs.service.problems import InvalidRequest, NotFound, Problem, invalid, problem_response

CASES = [
    (InvalidRequest(), 400, "invalid_request"),
    (problems.TokenMissing(), 401, "token_missing"),
    (problems.TokenInvalid(), 401, "token_invalid"),
    (problems.TokenExpired(), 401, "token_expired"),
    (problems.ScopeMissing("ledger:read"), 403, "scope_missing"),
    (problems.WrongApp(), 403, "wrong_app"),
    (problems.FeatureDisabled("x"), 403, "feature_disabled"),
    (NotFound("hold"), 404, "hold_not_found"),
    (problems.BodyTooLarge(5), 413, "body_too_large"),
    (problems.Overloaded(), 429, "overloaded"),
    (problems.RateLimited(), 429, "rate_limited"),
    (problems.Unavailable(), 503, "unavailable"),
    (problems.ReadOnly(), 503, "read_only"),
    (problems.NotLeader(), 503, "not_leader"),
]


@pytest.mark.parametrize(("problem", "status", "code"), CASES)
def test_each_has_its_status_and_code(problem: Problem, status: int, code: str) -> None:
    response = problem_response(problem, "r1")
    document = orjson.loads(response.body)
    assert response.status_code == status
    assert response.media_type == "application/problem+json"
    assert document["type"] == f"urn:tallystick:problem:{code}"
    assert (document["status"], document["code"], document["request_id"]) == (status, code, "r1")
    assert document["title"]
    assert document["detail"]
    if status in (429, 503):
        assert int(response.headers["retry-after"]) >= 1
    if status == 401:
        assert response.headers["www-authenticate"].startswith("Bearer")


def test_a_service_makes_its_own() -> None:
    class Insufficient(Problem):
        status = 402
        code = "insufficient_credits"
        title = "Too few credits"
        next = "Top up."

    document = Insufficient("5 are needed", extra={"required": "5.00", "code": "not ours to replace"}).to_dict()
    assert document == {
        "type": "urn:tallystick:problem:insufficient_credits",
        "title": "Too few credits",
        "status": 402,
        "code": "insufficient_credits",
        "detail": "5 are needed",
        "next": "Top up.",
        "required": "5.00",
    }


def test_one_fault_in_short() -> None:
    assert invalid("amount_not_string", "amount", "Send it as a string.").to_dict()["errors"] == [
        {"code": "amount_not_string", "field": "amount", "detail": "Send it as a string."}
    ]
