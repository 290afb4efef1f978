"""Exports: safe cells, whole lines, constant memory."""

import csv
import io
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from libs.service.exports import CHUNK_BYTES, csv_cell, csv_lines, export_response, json_lines


async def rows_of(rows: list[dict[str, Any]]) -> AsyncIterator[dict[str, Any]]:
    for row in rows:
        yield row


@pytest.mark.parametrize("cell", ["=1+1", "+cmd|' /C calc'!A0", "-1+1", "@SUM(A1)", "\tx", "\r=x", "-", "+-5", "-5 "])
def test_a_formula_becomes_text(cell: str) -> None:
    assert csv_cell(cell) == "'" + cell


@pytest.mark.parametrize(
    ("value", "cell"),
    [
        ("-5.00", "-5.00"),
        ("+3", "+3"),
        (-5, "-5"),
        (None, ""),
        (True, "true"),
        (False, "false"),
        ("ann", "ann"),
        ({"a": 1}, '{"a":1}'),
    ],
)
def test_amounts_and_plain_values_stay(value: Any, cell: str) -> None:
    assert csv_cell(value) == cell


@pytest.mark.anyio
async def test_csv_reads_back_whatever_is_in_it() -> None:
    rows: list[dict[str, Any]] = [{"id": 1, "note": 'say "hi",\nthen go', "extra": "not asked for"}, {"id": 2}]
    text = b"".join([piece async for piece in csv_lines(["id", "note"], rows_of(rows))]).decode()
    read = list(csv.DictReader(io.StringIO(text, newline="")))
    assert read == [{"id": "1", "note": 'say "hi",\nthen go'}, {"id": "2", "note": ""}]


@pytest.mark.anyio
async def test_pieces_join_to_the_whole() -> None:
    rows: list[dict[str, Any]] = [{"id": n, "note": "x" * (n * 37 % 101)} for n in range(5_000)]
    text = b"".join([piece async for piece in csv_lines(["id", "note"], rows_of(rows))]).decode()
    assert len(text) > 3 * CHUNK_BYTES
    assert [(int(row["id"]), row["note"]) for row in csv.DictReader(io.StringIO(text, newline=""))] == [
        (row["id"], row["note"]) for row in rows
    ]
    text = b"".join([piece async for piece in json_lines(rows_of(rows))]).decode()
    assert [json.loads(line) for line in text.splitlines()] == rows


@pytest.mark.anyio
async def test_json_lines_read_back() -> None:
    rows = [{"id": 1, "note": "a\nb"}, {"id": 2, "note": "é"}]
    text = b"".join([piece async for piece in json_lines(rows_of(rows))]).decode()
    assert [json.loads(line) for line in text.splitlines()] == rows


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["csv", "jsonl"])
async def test_a_long_export_goes_out_in_pieces_as_its_rows_come(kind: Any) -> None:
    taken = 0

    async def endless() -> AsyncIterator[dict[str, Any]]:
        nonlocal taken
        while True:
            taken += 1
            yield {"id": taken, "note": "x" * 90}

    response = export_response(kind, ["id", "note"], endless(), "transactions")
    assert response.headers["content-disposition"] == f'attachment; filename="transactions.{kind}"'
    pieces = response.body_iterator.__aiter__()
    for number in range(1, 4):
        piece = await anext(pieces)
        assert CHUNK_BYTES <= len(piece) < CHUNK_BYTES + 200
        assert taken <= number * (CHUNK_BYTES // 90 + 2)
