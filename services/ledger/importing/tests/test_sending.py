"""An import file as commands: the same file gives the same keys, whatever its order of lines."""

from __future__ import annotations

from typing import Any

from services.ledger.importing.records import Opening, Operation
from services.ledger.importing.sending import account_commands, balance_commands, operation_commands


def operation(**fields: Any) -> Operation:
    """An operation of ann's."""
    given = {"user": "ann", "time": "2025-01-01T00:00:00Z", "kind": "bonus", "amount": "3", **fields}
    return Operation.model_validate(given)


def test_operations_keep_their_keys_when_lines_are_added_or_moved() -> None:
    first, second, third = operation(), operation(amount="4"), operation(kind="usage")
    keys = [command["key"] for command in operation_commands("old", [first, second])]
    moved = [command["key"] for command in operation_commands("old", [third, second, first])]
    assert len({*keys, *moved}) == 3
    assert moved[1:] == [keys[1], keys[0]]


def test_operations_that_are_alike_are_two() -> None:
    keys = [command["key"] for command in operation_commands("old", [operation(), operation()])]
    assert len(set(keys)) == 2
    assert [command["key"] for command in operation_commands("old", [operation(), operation()])] == keys


def test_an_opening_is_settled_before_its_credits_come_and_frozen_after() -> None:
    lots = [{"amount": "5", "source": "paid"}, {"amount": "2", "expires_at": "2030-01-01T00:00:00Z"}]
    opening = Opening.model_validate(
        {"user": "ann", "lots": lots, "plan": "pro", "zone": "Asia/Tehran", "allowance": "7", "frozen": True}
    )
    before, after = list(account_commands("old", opening)), list(balance_commands("old", opening))
    assert [command["type"] for command in before + after] == [
        "account.change",
        "account.plan",
        "grant",
        "grant",
        "account.freeze",
    ]
    grants = after[:2]
    assert [(g["amount"], g["source"]) for g in grants] == [("5", "paid"), ("2", "opening")]
    assert len({command["key"] for command in before + after}) == 5
    assert all(g["unique_ref"] == g["key"] for g in grants)


def test_another_name_is_another_import() -> None:
    opening = Opening.model_validate({"user": "ann", "balance": "1"})
    first, second = (next(iter(balance_commands(name, opening))) for name in ("old", "older"))
    assert first["key"] != second["key"]
