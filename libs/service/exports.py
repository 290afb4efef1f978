"""Exports of any length at constant memory: CSV (RFC 4180, safe to open in a spreadsheet) and JSON Lines.

An export that fails on its way breaks the connection, so that a part is never taken for the whole.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any, Literal, TypeVar

import orjson
from pydantic import Field
from starlette.responses import StreamingResponse

P = TypeVar("P")
T = TypeVar("T")
CHUNK_BYTES = 65_536
FileKind = Literal["csv", "jsonl"]
FileFormat = Literal["json", "csv", "jsonl"] | None
FILE_FORMAT = Field(None, description="A file of the whole list instead of a page; as the header Accept.")
"""The parameter `format` of a list, for the model of its query."""
MEDIA_TYPES = ("text/csv", "application/jsonl")
"""What the header Accept may ask for instead of a page."""
PAGE = 500
"""Rows that a whole list is read in: no connection, and no transaction, is held in between."""

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?")
_FORMULA = ("=", "+", "-", "@", "\t", "\r")


def file_asked(chosen: FileFormat, accept: str) -> FileKind | None:
    """The file that is wanted instead of a page: by the parameter `format`, else by the header Accept."""
    if chosen is not None:
        return None if chosen == "json" else chosen
    if "text/csv" in accept:
        return "csv"
    return "jsonl" if "application/jsonl" in accept or "application/x-ndjson" in accept else None


async def all_pages(
    fetch: Callable[[P, int], Awaitable[Sequence[T]]], first: P, place: Callable[[T], P]
) -> AsyncIterator[T]:
    """Every row of a list that `fetch(place, limit)` reads behind a place."""
    while True:
        rows = await fetch(first, PAGE)
        for row in rows:
            yield row
        if len(rows) < PAGE:
            return
        first = place(rows[-1])


async def rendered(
    rows: AsyncIterable[T], render: Callable[[T], Mapping[str, Any]]
) -> AsyncIterator[Mapping[str, Any]]:
    """Rows as they are shown."""
    async for row in rows:
        yield render(row)


def csv_cell(value: Any) -> str:
    """`value` as a cell. A text that a spreadsheet would take for a formula gets an apostrophe in front."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    if text.startswith(_FORMULA) and not _NUMBER.fullmatch(text):
        return "'" + text
    return text


async def csv_lines(columns: Sequence[str], rows: AsyncIterable[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    """CSV with a header line, in pieces of about `CHUNK_BYTES`."""
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer)
    writer.writerow(columns)
    async for row in rows:
        writer.writerow([csv_cell(row.get(column)) for column in columns])
        if buffer.tell() >= CHUNK_BYTES:
            yield buffer.getvalue().encode()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue().encode()


async def json_lines(rows: AsyncIterable[Mapping[str, Any]]) -> AsyncIterator[bytes]:
    """One JSON object per line, in pieces of about `CHUNK_BYTES`."""
    pieces: list[bytes] = []
    size = 0
    async for row in rows:
        line = orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE)
        pieces.append(line)
        size += len(line)
        if size >= CHUNK_BYTES:
            yield b"".join(pieces)
            pieces.clear()
            size = 0
    yield b"".join(pieces)


def export_response(
    kind: FileKind, columns: Sequence[str], rows: AsyncIterable[Mapping[str, Any]], name: str
) -> StreamingResponse:
    """The answer that saves as `<name>.<kind>`; `name` is a constant of ours."""
    lines = csv_lines(columns, rows) if kind == "csv" else json_lines(rows)
    media_type = "text/csv; charset=utf-8" if kind == "csv" else "application/jsonl"
    headers = {"Content-Disposition": f'attachment; filename="{name}.{kind}"', "X-Content-Type-Options": "nosniff"}
    return StreamingResponse(lines, media_type=media_type, headers=headers)
