"""What the ledger's commands accept and refuse, by the code that a caller is told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from libs.events.contracts.base import Command, decode, encode, registered
from libs.events.contracts.ledger import commands as c

GRANT = "grant_2a01JD00000000000000000000AB"
HOLD = "hold_2a01JD00000000000000000000AB"
CHARGE = "charge_2a01JD00000000000000000000AB"

LEAST: list[tuple[type[Command], dict[str, Any]]] = [
    (c.GrantCredits, {"user": "u", "amount": "1"}),
    (c.RevokeGrant, {"grant": GRANT}),
    (c.ChargeCredits, {"user": "u"}),
    (c.RefundCharge, {"charge": CHARGE}),
    (c.CreateHold, {"user": "u"}),
    (c.CaptureHold, {"hold": HOLD}),
    (c.ExtendHold, {"hold": HOLD}),
    (c.ReleaseHold, {"hold": HOLD}),
    (c.TransferCredits, {"from_user": "u", "to_user": "v", "amount": "1"}),
    (c.AdjustBalance, {"user": "u", "amount": "-1", "reason": "import"}),
    (c.PerformAction, {"user": "u", "action": "start"}),
    (c.ImportOperation, {"user": "u", "kind": "bonus", "occurred_at": "2025-12-31T09:00:00Z", "amount": "-1"}),
    (c.FreezeAccount, {"user": "u"}),
    (c.UnfreezeAccount, {"user": "u"}),
    (c.CloseAccount, {"user": "u"}),
    (c.ChangeAccount, {"user": "u"}),
    (c.AssignPlan, {"user": "u", "plan": "pro"}),
    (c.ResetAllowance, {"user": "u"}),
    (c.SetBudgets, {"user": "u", "budgets": []}),
]


def codes(model: type[BaseModel], fields: dict[str, Any]) -> set[tuple[str, str]]:
    """(code, field) of every fault in `fields`; empty if there is none."""
    try:
        model.model_validate_json(orjson.dumps(fields))
    except ValidationError as error:
        return {(fault["type"], str(fault["loc"][0])) for fault in error.errors()}
    return set()


def test_every_command_of_the_ledger_is_listed_here() -> None:
    assert {model for model, _ in LEAST} == {model for model in registered("ledger") if model.KIND == "command"}


@pytest.mark.parametrize(("model", "fields"), LEAST, ids=lambda value: getattr(value, "TYPE", ""))
def test_the_least_that_a_command_needs_and_no_less(model: type[Command], fields: dict[str, Any]) -> None:
    assert codes(model, fields) == set()
    for name in fields:
        assert codes(model, {key: value for key, value in fields.items() if key != name}) == {("missing", name)}
    assert codes(model, {**fields, "extra": 1}) == {("extra_forbidden", "extra")}


@pytest.mark.parametrize(("model", "fields"), LEAST, ids=lambda value: getattr(value, "TYPE", ""))
def test_every_command_takes_the_common_fields_and_survives_kafka(model: type[Command], fields: dict[str, Any]) -> None:
    common = {
        "asset": "coins",
        "reference": "order 5",
        "unique_ref": "order/5",
        "reason": "welcome",
        "description": "Thank you, مرحبا",
        "metadata": {"tier": "gold"},
        "member": "seat:7",
    }
    command = model.model_validate_json(orjson.dumps({**fields, **common}))
    assert decode(command.TYPE, encode(command)) == command


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1.5, "amount_not_string"),
        (1.0, "amount_not_string"),
        (True, "amount_not_string"),
        (["1"], "amount_not_string"),
        ("1" * 65, "amount_too_large"),
    ],
)
def test_an_amount_is_a_string_or_whole_credits_never_a_float(value: Any, code: str) -> None:
    assert codes(c.ChargeCredits, {"user": "u", "amount": value}) == {(code, "amount")}


@pytest.mark.parametrize("value", ["12.50", "0.01", 12, 0, "-1"])
def test_what_an_amount_may_be_is_decided_with_its_asset(value: str | int) -> None:
    assert codes(c.ChargeCredits, {"user": "u", "amount": value}) == set()


@pytest.mark.parametrize("value", [1.5, True, "-1", "1.1234567", "1e3", -1, 10**13, "", [1]])
def test_a_quantity_is_a_decimal_string_or_an_integer(value: Any) -> None:
    assert codes(c.ChargeCredits, {"user": "u", "price": "p", "quantity": value}) == {("invalid_quantity", "quantity")}
    assert codes(c.CaptureHold, {"hold": HOLD, "usage": {"seconds": value}}) == {("invalid_quantity", "usage")}


@pytest.mark.parametrize("value", ["1.5", "0.000001", "2.50000000", 3, 0, 10**12])
def test_what_a_quantity_may_be(value: Any) -> None:
    assert codes(c.ChargeCredits, {"user": "u", "price": "p", "quantity": value}) == set()


@pytest.mark.parametrize("user", ["", "@app", "@issued/paid", "a b", "a\n", "ü", "u" * 129, "a/b", "a\x1fb"])
def test_users_that_cannot_be(user: str) -> None:
    assert codes(c.ChargeCredits, {"user": user, "amount": "1"}) == {("invalid_user", "user")}
    assert codes(c.TransferCredits, {"from_user": "u", "to_user": user, "amount": 1}) == {("invalid_user", "to_user")}


@pytest.mark.parametrize("user", ["1", "123456789", "6f1c2d3e-0000-4000-8000-000000000000", "a.b_c:d-E", "u" * 128])
def test_users_that_can_be(user: str) -> None:
    assert codes(c.ChargeCredits, {"user": user, "amount": "1"}) == set()


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("reference", "x" * 201, "string_too_long"),
        ("reference", "", "string_too_short"),
        ("reference", "a\u0000b", "control_character"),
        ("unique_ref", "x" * 201, "string_too_long"),
        ("unique_ref", "a\u0085b", "control_character"),
        ("reason", "Too Long", "invalid_reason"),
        ("reason", "x" * 65, "invalid_reason"),
        ("description", "x" * 1001, "string_too_long"),
        ("description", "\u001b[31m", "control_character"),
        ("metadata", {str(n): "" for n in range(51)}, "too_long"),
        ("metadata", {"k" * 65: "v"}, "string_too_long"),
        ("metadata", {"k": "v" * 501}, "string_too_long"),
        ("metadata", {"k": 5}, "string_type"),
        ("metadata", {"k\u0007": "v"}, "control_character"),
        ("asset", "a b", "invalid_name"),
        ("member", "@app", "invalid_user"),
    ],
)
def test_limits_of_the_common_fields(field: str, value: Any, code: str) -> None:
    assert codes(c.ChargeCredits, {"user": "u", "amount": "1", field: value}) == {(code, field)}


@pytest.mark.parametrize(
    ("model", "fields", "fault"),
    [
        (c.GrantCredits, {"source": "gift"}, ("literal_error", "source")),
        (c.GrantCredits, {"priority": -1}, ("greater_than_equal", "priority")),
        (c.GrantCredits, {"priority": "1"}, ("int_type", "priority")),
        (c.GrantCredits, {"expires_at": "tomorrow"}, ("invalid_time", "expires_at")),
        (c.GrantCredits, {"expires_at": "1700000000"}, ("invalid_time", "expires_at")),
        (c.GrantCredits, {"expires_at": "2026-01-01T00:00:00"}, ("timezone_aware", "expires_at")),
        (c.GrantCredits, {"expires_at": "9999-12-31T23:59:59-12:00"}, ("invalid_time", "expires_at")),
        (c.GrantCredits, {"effective_at": "0001-01-01T00:00:00Z"}, ("invalid_time", "effective_at")),
        (c.GrantCredits, {"effective_at": 1700000000}, ("invalid_time", "effective_at")),
        (c.GrantCredits, {"scope": [f"s{n}" for n in range(21)]}, ("too_long", "scope")),
        (c.GrantCredits, {"scope": ["a b"]}, ("invalid_name", "scope")),
        (c.GrantCredits, {"cost_basis": {"amount_minor": 9.99, "currency": "USD"}}, ("int_type", "cost_basis")),
        (
            c.GrantCredits,
            {"cost_basis": {"amount_minor": 999, "currency": "usd"}},
            ("string_pattern_mismatch", "cost_basis"),
        ),
        (c.CreateHold, {"ttl_s": 0}, ("greater_than", "ttl_s")),
        (c.CreateHold, {"grant": HOLD}, ("invalid_id", "grant")),
        (c.CreateHold, {"partial": "yes"}, ("bool_type", "partial")),
        (c.GrantCredits, {"source": "allowance"}, ("literal_error", "source")),
        (c.CaptureHold, {"final": 1}, ("bool_type", "final")),
        (c.CaptureHold, {"hold": "hold_1"}, ("invalid_id", "hold")),
        (c.RevokeGrant, {"policy": "forgive"}, ("literal_error", "policy")),
        (c.ChangeAccount, {"zone": "Mars/Olympus"}, ("invalid_zone", "zone")),
        (c.ChangeAccount, {"zone": "../../etc/passwd"}, ("invalid_zone", "zone")),
        (c.ChangeAccount, {"overdraft": 0.5}, ("amount_not_string", "overdraft")),
        (c.ChangeAccount, {"thresholds": [{"below": 1.5}]}, ("amount_not_string", "thresholds")),
        (c.ChangeAccount, {"thresholds": [{"below": "1"}] * 21}, ("too_long", "thresholds")),
    ],
)
def test_limits_of_single_fields(model: type[Command], fields: dict[str, Any], fault: tuple[str, str]) -> None:
    least = dict(LEAST)[model]
    assert codes(model, {**least, **fields}) == {fault}


@pytest.mark.parametrize(
    ("body", "command", "path"),
    [
        (c.RevokeGrantBody, c.RevokeGrant, "grant"),
        (c.RefundChargeBody, c.RefundCharge, "charge"),
        (c.CaptureHoldBody, c.CaptureHold, "hold"),
        (c.ExtendHoldBody, c.ExtendHold, "hold"),
        (c.ReleaseHoldBody, c.ReleaseHold, "hold"),
        (c.FreezeAccountBody, c.FreezeAccount, "user"),
        (c.UnfreezeAccountBody, c.UnfreezeAccount, "user"),
        (c.CloseAccountBody, c.CloseAccount, "user"),
        (c.ChangeAccountBody, c.ChangeAccount, "user"),
    ],
)
def test_a_body_is_its_command_without_the_id_of_the_path(
    body: type[BaseModel], command: type[Command], path: str
) -> None:
    assert set(command.model_fields) - set(body.model_fields) == {path}
    assert codes(body, dict(LEAST)[command]) == {("extra_forbidden", path)}


def test_a_grant_says_all_that_it_can() -> None:
    fields = {
        "user": "u",
        "amount": "5000",
        "source": "paid",
        "priority": 10,
        "effective_at": "2026-02-01T01:00:00+01:00",
        "expires_at": "2026-03-01T00:00:00Z",
        "scope": ["research", "chat"],
        "cost_basis": {"amount_minor": 3999, "currency": "USD"},
    }
    grant = c.GrantCredits.model_validate_json(orjson.dumps(fields))
    assert grant.effective_at == datetime(2026, 2, 1, tzinfo=UTC)
    assert grant.expires_at == datetime(2026, 3, 1, tzinfo=UTC)
    assert grant.scope == ("research", "chat")
    assert decode("ledger.grant_credits.v1", encode(grant)) == grant
