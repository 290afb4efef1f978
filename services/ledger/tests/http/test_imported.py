"""Operations that another system booked, in the journal of their account."""

from __future__ import annotations

import pytest

from services.ledger.tests.http.client import Api

pytestmark = pytest.mark.anyio
OPERATION = {
    "user": "ann",
    "kind": "usage",
    "occurred_at": "2025-03-01T10:00:00+01:00",
    "amount": "-2.5",
    "balance_after": "7.5",
    "reference": "call 9",
    "description": "A picture",
}


async def test_an_imported_operation_is_a_line_of_the_journal(api: Api) -> None:
    made = await api.as_("admin").post("/imported-operations", OPERATION)
    assert (made["kind"], made["amount"], made["occurred_at"]) == ("usage", "-2.50", "2025-03-01T09:00:00.000000Z")
    assert (made["settled"], made["available"]) == ("0.00", "0.00")
    (line, _opened) = (await api.get("/accounts/ann/transactions"))["data"]
    assert (line["type"], line["amount"], line["reference"]) == ("operation_imported", "0.00", "call 9")
    assert line["description"] == "A picture"
    assert line["imported"] == {
        "kind": "usage",
        "occurred_at": "2025-03-01T09:00:00.000000Z",
        "amount": "-2.50",
        "balance_after": "7.50",
    }


async def test_history_is_written_by_administrators_only(api: Api) -> None:
    for role in ("service", "manager"):
        assert (await api.as_(role).post("/imported-operations", OPERATION, status=403))["code"] == "scope_missing"
    await api.get("/accounts/ann/transactions", status=404)


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("occurred_at", "2999-01-01T00:00:00Z", "time_in_the_future"),
        ("amount", "1.005", "amount_too_precise"),
        ("balance_after", "1.005", "amount_too_precise"),
        ("kind", "Two Words", "invalid_reason"),
    ],
)
async def test_what_is_wrong_is_named(api: Api, field: str, value: str, code: str) -> None:
    refused = await api.as_("admin").post("/imported-operations", {**OPERATION, field: value}, status=400)
    assert [(fault["field"], fault["code"]) for fault in refused["errors"]] == [(field, code)]
