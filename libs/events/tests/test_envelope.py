"""The envelope on the wire: what is written can be read back, and what is not ours is named."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from libs.events.envelope import (
    Envelope,
    Heartbeat,
    InvalidMessage,
    envelope_from_json,
    envelope_json,
    from_record,
    heartbeat_headers,
    parse_time,
    time_text,
    to_headers,
)

PRINTABLE = st.characters(codec="utf-8", exclude_categories=("C", "Z")) | st.just(" ")
TEXT = st.text(PRINTABLE, min_size=1, max_size=40)
ENVELOPES = st.builds(
    Envelope,
    id=TEXT,
    source=TEXT,
    type=st.just("ledger.credits_granted.v1"),
    time_us=st.integers(min_value=0, max_value=4_000_000_000_000_000),
    subject=TEXT,
    app=TEXT,
    data=st.one_of(
        st.binary(max_size=50), st.just(b'{"amount":"5.00","user":"\xc3\xa9"}'), st.just(b'{ "loose": 1.0 }')
    ),
    correlation_id=st.none() | TEXT,
    causation_id=st.none() | TEXT,
    traceparent=st.none() | TEXT,
    stream=st.none() | TEXT,
    seq=st.none() | st.integers(min_value=0, max_value=2**62),
    prevseq=st.none() | st.integers(min_value=0, max_value=2**62),
    actor=st.none() | TEXT,
    idempotency_key=st.none() | TEXT,
)
EXAMPLE = Envelope(
    id="event_001",
    source="ledger",
    type="ledger.credits_granted.v1",
    time_us=1_767_225_600_000_001,
    subject="u1",
    app="coins",
    data=b"{}",
    stream="s1",
    seq=7,
    prevseq=6,
)


@given(ENVELOPES)
def test_an_envelope_survives_kafka(envelope: Envelope) -> None:
    assert from_record(to_headers(envelope), envelope.data) == envelope


@given(ENVELOPES)
def test_an_envelope_survives_the_feed_byte_for_byte(envelope: Envelope) -> None:
    assert envelope_from_json(orjson.loads(orjson.dumps(envelope_json(envelope)))) == envelope


def test_headers_are_cloudevents_in_binary_mode() -> None:
    headers = dict(to_headers(EXAMPLE))
    assert headers["content-type"] == b"application/json"
    assert headers["ce_specversion"] == b"1.0"
    assert headers["ce_source"] == b"/tallystick/ledger"
    assert headers["ce_time"] == b"2026-01-01T00:00:00.000001Z"
    assert (headers["ce_subject"], headers["ce_app"], headers["ce_seq"], headers["ce_prevseq"]) == (
        b"u1",
        b"coins",
        b"7",
        b"6",
    )
    assert "ce_actor" not in headers


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ce_id", None, "missing_attribute"),
        ("ce_time", b"yesterday", "invalid_attribute"),
        ("ce_time", b"2026-01-01T00:00:00", "invalid_attribute"),
        ("ce_seq", b"-1", "invalid_attribute"),
        ("ce_specversion", b"0.3", "invalid_attribute"),
        ("ce_source", b"/elsewhere/ledger", "invalid_source"),
        ("ce_app", b"\xff", "invalid_attribute"),
        ("ce_app", b"co\x1fins", "invalid_attribute"),
        ("ce_subject", b"u" * 257, "invalid_attribute"),
        ("content-type", b"text/plain", "invalid_content_type"),
    ],
)
def test_what_is_not_ours_is_named(name: str, value: bytes | None, reason: str) -> None:
    headers = dict(to_headers(EXAMPLE))
    headers.pop(name)
    if value is not None:
        headers[name] = value
    with pytest.raises(InvalidMessage) as caught:
        from_record(list(headers.items()), b"{}")
    assert caught.value.reason == reason
    assert caught.value.message_id == (None if name == "ce_id" else "event_001")


def test_a_heartbeat_is_a_message_of_its_own() -> None:
    heartbeat = Heartbeat("ledger", "s1", 41, 1_767_225_600_000_000)
    assert from_record(heartbeat_headers(heartbeat), b"{}") == heartbeat


def test_times_are_microseconds_in_utc() -> None:
    assert time_text(0) == "1970-01-01T00:00:00.000000Z"
    assert parse_time("2026-01-01T01:30:00.5+01:30") == 1_767_225_600_500_000
