"""Cursors go out opaque and come back checked."""

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.service.pagination import decode_cursor, encode_cursor, page
from libs.service.problems import InvalidRequest

SHAPE: dict[str, type[str] | type[int]] = {"position": int, "id": str}


@given(st.integers(-(2**63), 2**63 - 1), st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_a_cursor_comes_back_as_it_went(position: int, text: str) -> None:
    place: dict[str, str | int] = {"position": position, "id": text}
    assert decode_cursor(encode_cursor(place), SHAPE) == place


def raw(content: bytes) -> str:
    return base64.urlsafe_b64encode(content).rstrip(b"=").decode()


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "garbage",
        "%%%",
        "é",
        "a" * 5000,
        raw(b"not json"),
        raw(b"[]"),
        raw(b"{}"),
        raw(b'{"position": 1}'),
        raw(b'{"position": 1, "id": "x", "more": 1}'),
        raw(b'{"position": "1", "id": "x"}'),
        raw(b'{"position": true, "id": "x"}'),
        raw(b'{"position": 1.0, "id": "x"}'),
        raw(b'{"position": null, "id": "x"}'),
        raw(b"[" * 700),
        encode_cursor({"position": 1, "id": "x"}) + "!",
    ],
)
def test_garbage_is_named(cursor: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        decode_cursor(cursor, SHAPE)
    assert refused.value.errors
    assert refused.value.errors[0]["code"] == "invalid_cursor"


@given(st.text(max_size=80))
def test_no_text_does_harm(cursor: str) -> None:
    try:
        place = decode_cursor(cursor, SHAPE)
    except InvalidRequest:
        return
    assert place is not None
    assert {name: type(value) for name, value in place.items()} == SHAPE


def test_no_cursor_is_the_beginning() -> None:
    assert decode_cursor(None, SHAPE) is None


def test_pages_follow_each_other_to_the_end() -> None:
    rows = list(range(7))
    seen: list[Any] = []
    cursor = None
    sizes = []
    while True:
        place = decode_cursor(cursor, {"after": int})
        start = 0 if place is None else place["after"] + 1
        answer = page(rows[start : start + 4], 3, lambda row: {"after": row}, lambda row: {"n": row})
        seen += [item["n"] for item in answer["data"]]
        sizes.append(len(answer["data"]))
        assert answer["has_more"] == (answer["next_cursor"] is not None)
        if not answer["has_more"]:
            break
        cursor = answer["next_cursor"]
    assert (seen, sizes) == (rows, [3, 3, 1])
    assert page([], 3, lambda row: {}, lambda row: row) == {"data": [], "next_cursor": None, "has_more": False}
