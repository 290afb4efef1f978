"""Stored payloads: compact, without what says nothing, and times that always read back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ledger.domain import events as ev
from services.ledger.domain.codec import decode, encode, format_time, parse_time

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(st.datetimes())
def test_every_time_of_the_calendar_reads_back(moment: datetime) -> None:
    time_us = (moment.replace(tzinfo=UTC) - EPOCH) // timedelta(microseconds=1)
    assert parse_time(format_time(time_us)) == time_us
    assert len(format_time(time_us)) == len("2026-01-31T09:00:00.000000Z")


def test_times_are_written_in_utc_with_microseconds() -> None:
    assert format_time(0) == "1970-01-01T00:00:00.000000Z"
    assert format_time(parse_time("2026-01-31T09:00:00.25+02:00")) == "2026-01-31T07:00:00.250000Z"
    with pytest.raises(ValueError, match="offset"):
        parse_time("2026-01-31T09:00:00")


def test_a_field_that_has_its_default_is_left_out() -> None:
    event = ev.CreditsCharged(
        asset="coins",
        account_version=2,
        config_version=1,
        before=ev.Balances(ev.Units(100), ev.Units(0), ev.Units(0)),
        after=ev.Balances(ev.Units(75), ev.Units(0), ev.Units(0)),
        charge="charge_1",
        amount=ev.Units(25),
        slices=(ev.SliceOf("grant_1", ev.Units(25)),),
    )
    payload = encode(event, 1)
    assert payload == (
        b'{"asset":"coins","account_version":2,"config_version":1,'
        b'"before":{"settled":"10.0","held":"0.0","owed":"0.0"},"after":{"settled":"7.5","held":"0.0","owed":"0.0"},'
        b'"charge":"charge_1","amount":"2.5","slices":[{"lot":"grant_1","amount":"2.5"}]}'
    )
    assert decode("ledger.credits_charged.v1", payload, at=9).at == 9


def test_an_event_that_nobody_knows_is_not_guessed_at() -> None:
    with pytest.raises(KeyError):
        decode("ledger.credits_wished_for.v1", b"{}", at=0)
