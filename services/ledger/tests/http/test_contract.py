"""The committed document is the one that is served; both doors know the same commands."""

from __future__ import annotations

from typing import Any

import pytest

from libs.events.contracts.base import registered
from libs.events.contracts.ledger import commands as sent
from libs.service.contract import document
from services.ledger import openapi
from services.ledger.handlers.commands import BY_CONTRACT, KINDS, Origin, request_for
from services.ledger.handlers.fingerprint import fields_sent, fingerprints

pytestmark = pytest.mark.anyio
HOLD = "hold_0001ARZ3NDEKTSV4RRFFQ69G5FAV"
ORIGIN = Origin(app="coins", caller="c", key="k", actor="a", role="service", door="http", request_id="r")


def test_the_committed_document_is_the_one_that_is_served() -> None:
    assert openapi.FILE.read_text(encoding="utf-8") == document(openapi.application()), (
        "run: python -m services.ledger openapi write"
    )


def test_every_write_names_its_key_its_body_and_its_refusals() -> None:
    document = openapi.application().openapi()
    for path, item in document["paths"].items():
        for method, operation in item.items():
            codes = " ".join(answer.get("description", "") for answer in operation["responses"].values())
            if path == "/v1/test-clock":
                continue
            assert "token_missing" in codes, path
            assert "security" in operation, path
            names = {parameter["name"] for parameter in operation["parameters"]}
            assert {name.strip("{}") for name in path.split("/") if name.startswith("{")} <= names, path
            if method != "get":
                # A batch has none of its own: its items have.
                assert ("Idempotency-Key" in names) == (path != "/v1/batch"), path
                assert operation["requestBody"]["content"]["application/json"]["schema"]["properties"], path


def test_every_contract_of_a_command_has_its_kind() -> None:
    assert set(BY_CONTRACT) == {model.TYPE for model in registered("ledger") if model.KIND == "command"}


async def test_both_doors_see_one_command() -> None:
    by_http = request_for(KINDS["hold.capture"], sent.CaptureHoldBody(amount="5"), ORIGIN, HOLD)
    by_kafka = request_for(KINDS["hold.capture"], sent.CaptureHold(hold=HOLD, amount="5.00"), ORIGIN)
    assert by_http.fingerprint == by_kafka.fingerprint
    assert (by_http.target, by_http.by_target) == (by_kafka.target, by_kafka.by_target) == (HOLD, True)
    frozen = request_for(KINDS["account.freeze"], sent.FreezeAccountBody(unique_ref="x"), ORIGIN, "ann")
    assert (frozen.user, frozen.unique_ref) == ("ann", None)
    again = request_for(KINDS["account.freeze"], sent.FreezeAccount(user="ann", unique_ref="x"), ORIGIN)
    assert frozen.fingerprint == again.fingerprint


def _print(**fields: Any) -> tuple[bytes, bytes]:
    return fingerprints("grant", fields_sent(sent.GrantCredits.model_validate({"user": "ann", **fields}, strict=False)))


@pytest.mark.parametrize("amount", ["5.00", "05", "005.0", 5, "5."[:1]])
def test_one_amount_written_in_many_ways(amount: str | int) -> None:
    assert _print(amount=amount) == _print(amount="5")


@pytest.mark.parametrize("amount", ["50", "0.5", "-5", "5.01"])
def test_other_amounts_differ(amount: str) -> None:
    assert _print(amount=amount) != _print(amount="5")


def test_times_are_compared_as_moments_and_nulls_not_at_all() -> None:
    assert _print(amount="1", expires_at="2030-01-01T00:00:00Z") == _print(
        amount="1", expires_at="2030-01-01T02:00:00+02:00", description=None
    )
    assert _print(amount="1", scope=["a"]) != _print(amount="1", scope=["a", "b"])


def test_labels_may_change_under_a_unique_ref() -> None:
    plain, labelled = _print(amount="1"), _print(amount="1", reference="r", description="d", metadata={"a": "b"})
    assert plain[0] != labelled[0]
    assert plain[1] == labelled[1]
