"""Events come whole out of any pieces."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.meter.domain import sse
from services.meter.domain.sse import EventSplitter, EventTooLong, data_of, event_of

STREAM = b'data: {"a": 1}\n\n: alive\n\nevent: x\r\ndata: one\r\ndata: two\r\n\r\ndata: [DONE]\n\n'
EVENTS = [b'data: {"a": 1}\n\n', b": alive\n\n", b"event: x\r\ndata: one\r\ndata: two\r\n\r\n", b"data: [DONE]\n\n"]


@given(st.sets(st.integers(1, len(STREAM) - 1)))
def test_events_are_the_same_however_the_network_cuts_them(cuts: set[int]) -> None:
    splitter, found, start = EventSplitter(), [], 0
    for cut in [*sorted(cuts), len(STREAM)]:
        found += splitter.feed(STREAM[start:cut])
        start = cut
    assert b"".join(found) == STREAM
    assert [data_of(event) for event in found] == [data_of(event) for event in EVENTS]


def test_data() -> None:
    assert [data_of(event) for event in EVENTS] == [b'{"a": 1}', b"", b"one\ntwo", sse.DONE]
    assert data_of(event_of(b"{}")) == b"{}"


def test_an_event_without_end_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_BYTES_MAX", 10)
    with pytest.raises(EventTooLong):
        EventSplitter().feed(b"data: for ever and ever")
