"""What an import file may say, and what is told of a line that is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from services.ledger.importing.records import Line, Opening, Operation, read_lines
from services.ledger.importing.report import Known, contents_of

KNOWN = Known({"coins": 0, "gold": 2}, "coins", {"pro"}, {"start"})


def lines_of(tmp_path: Path, text: str, name: str = "old.jsonl") -> list[Line]:
    """The lines of a file with this text."""
    file = tmp_path / name
    file.write_text(text)
    return list(read_lines(file))


def test_a_balance_is_one_lot_of_the_source_opening(tmp_path: Path) -> None:
    (line,) = lines_of(tmp_path, '{"user": "ann", "balance": "12", "expires_at": "2030-01-01T00:00:00Z"}\n')
    assert isinstance(line.record, Opening)
    (lot,) = line.record.all_lots
    assert (lot.amount, lot.source, lot.expires_at is not None) == ("12", "opening", True)


def test_a_balance_of_nothing_makes_no_lot(tmp_path: Path) -> None:
    (line,) = lines_of(tmp_path, '{"user": "ann", "balance": "0.00"}\n')
    assert isinstance(line.record, Opening)
    assert line.record.all_lots == ()


def test_a_line_with_a_time_is_an_operation(tmp_path: Path) -> None:
    text = '{"user": "ann", "time": "2025-01-01T00:00:00Z", "kind": "bonus", "amount": "-3", "metadata": {"a": "b"}}\n'
    (line,) = lines_of(tmp_path, text)
    assert isinstance(line.record, Operation)
    assert (line.record.kind, line.record.amount) == ("bonus", "-3")


def test_csv_with_a_byte_order_mark_and_empty_cells(tmp_path: Path) -> None:
    text = "\ufeffuser,balance,plan,frozen\nann,12,,\nbob,,pro,true\n"
    ann, bob = lines_of(tmp_path, text, "old.csv")
    assert isinstance(ann.record, Opening)
    assert isinstance(bob.record, Opening)
    assert (ann.number, ann.record.balance, ann.record.plan, ann.record.frozen) == (2, "12", None, False)
    assert (bob.number, bob.record.balance, bob.record.plan, bob.record.frozen) == (3, None, "pro", True)


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "not JSON"),
        ("[1]", "no JSON object"),
        ('{"user": "a b", "balance": "1"}', "user: A user is"),
        ('{"user": "ann", "balance": 1.5}', "balance: An amount is a decimal string"),
        ('{"user": "ann", "balance": "much"}', "decimal"),
        ('{"user": "ann", "balance": "NaN"}', "decimal"),
        ('{"user": "ann", "balance": "1e3"}', "decimal"),
        ('{"user": "ann", "balance": "-1"}', "below zero"),
        ('{"user": "ann", "lots": [{"amount": "-1"}]}', "below zero"),
        ('{"user": "ann", "balance": "1", "lots": [{"amount": "1"}]}', "not both"),
        ('{"user": "ann", "saldo": "1"}', "saldo: Extra inputs"),
        ('{"user": "ann", "lots": [{"amount": "1", "source": "allowance"}]}', "source"),
        ('{"user": "ann", "time": "yesterday", "kind": "bonus", "amount": "1"}', "time: A time is written"),
        ('{"user": "ann", "time": "2025-01-01T00:00:00Z", "kind": "bonus", "amount": "x"}', "decimal"),
    ],
)
def test_a_wrong_line_is_named_and_the_others_are_read(tmp_path: Path, line: str, told: str) -> None:
    good = '{"user": "zoe", "balance": "1"}'
    first, second = lines_of(tmp_path, f"{line}\n\n{good}\n")
    assert first.record is None
    assert told in first.fault
    assert (first.number, second.number, second.fault) == (1, 3, "")


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ('{"user": "ann", "balance": "1", "asset": "silver"}', "no asset 'silver'"),
        ('{"user": "ann", "balance": "1.5"}', "decimals"),
        ('{"user": "ann", "balance": "1.505", "asset": "gold"}', "decimals"),
        ('{"user": "ann", "plan": "gold"}', "no plan 'gold'"),
        ('{"user": "zoe", "balance": "2"}', "a second opening of zoe"),
        ('{"user": "ann", "time": "2025-01-01T00:00:00Z", "kind": "x", "amount": "1", "action": "stop"}', "'stop'"),
        ('{"user": "ann", "time": "2025-01-01T00:00:00Z", "kind": "x", "amount": "0.1"}', "decimals"),
    ],
)
def test_what_the_app_does_not_have_is_found_before_anything_is_sent(tmp_path: Path, line: str, told: str) -> None:
    file = tmp_path / "old.jsonl"
    file.write_text('{"user": "zoe", "balance": "1.00", "plan": "pro"}\n' + line + "\n")
    contents = contents_of(file, KNOWN)
    assert contents.fault_count == 1
    assert contents.faults[0]["line"] == 2
    assert told in contents.faults[0]["fault"]


def test_the_contents_are_counted_and_summed_exactly(tmp_path: Path) -> None:
    file = tmp_path / "old.jsonl"
    lots = '"asset": "gold", "lots": [{"amount": "0.10"}, {"amount": "0.20"}]'
    lines = [f'{{"user": "u{number}", {lots}}}' for number in range(3)]
    lines.append('{"user": "u1", "time": "2025-01-01T00:00:00Z", "kind": "bonus", "amount": "1", "action": "start"}')
    file.write_text("\n".join(lines))
    contents = contents_of(file, KNOWN)
    assert (contents.openings, contents.operations, contents.fault_count) == (3, 1, 0)
    assert str(contents.sums["gold"]) == "0.90"
