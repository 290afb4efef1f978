"""Amounts: what is taken for one, and how it is written."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain.amounts import (
    SCALE_MAX,
    UNITS_MAX,
    AmountError,
    format_units,
    parse_positive,
    parse_signed,
    units_of,
)


@pytest.mark.parametrize(
    ("value", "scale", "units"),
    [
        ("12.50", 2, 1250),
        ("12.5", 2, 1250),
        ("12", 2, 1200),
        (12, 2, 1200),
        ("-0.01", 2, -1),
        ("0.500000", 1, 5),
        ("007", 0, 7),
        ("10000000000000.00", 2, UNITS_MAX),
    ],
)
def test_what_an_amount_means(value: str | int, scale: int, units: int) -> None:
    assert parse_signed(value, scale) == units


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (1.5, "amount_not_string"),
        (True, "amount_not_string"),
        (None, "amount_not_string"),
        ("", "amount_invalid"),
        ("1,5", "amount_invalid"),
        ("1e3", "amount_invalid"),
        (" 1", "amount_invalid"),
        ("1\n", "amount_invalid"),
        ("+1", "amount_invalid"),
        (".5", "amount_invalid"),
        ("1.", "amount_invalid"),
        ("NaN", "amount_invalid"),
        ("١", "amount_invalid"),
        ("0x10", "amount_invalid"),
        ("1.005", "amount_too_precise"),
        ("10000000000000.01", "amount_too_large"),
        ("1" * 40, "amount_too_large"),
        (10**15 + 1, "amount_too_large"),
        (10**4000, "amount_too_large"),
        ("0", "amount_not_positive"),
        ("0.00", "amount_not_positive"),
        ("-0", "amount_not_positive"),
        (-1, "amount_not_positive"),
    ],
)
def test_what_is_no_amount_and_why(value: Any, code: str) -> None:
    with pytest.raises(AmountError) as refused:
        parse_positive(value, 2)
    assert refused.value.code == code


@given(units=st.integers(-UNITS_MAX, UNITS_MAX), scale=st.integers(0, SCALE_MAX))
def test_an_amount_is_written_so_that_it_reads_the_same(units: int, scale: int) -> None:
    text = format_units(units, scale)
    assert parse_signed(text, scale) == units
    assert units_of(text) == units
    assert len(text.partition(".")[2]) == scale
