"""Guessers are counted, locked, let go and forgotten."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.codes.domain.lockout import (
    NOBODY,
    Limit,
    Record,
    address_of,
    after_miss,
    is_forgotten,
    locked_us,
    network_of,
)

MINUTE = 60_000_000
DAY = 1440 * MINUTE
LIMIT = Limit(misses=5, window_us=10 * MINUTE, lock_us=15 * MINUTE, lock_us_max=DAY, quiet_us=2 * DAY)
START = 1_767_225_600_000_000


def _missed(times: list[int], record: Record = NOBODY) -> Record:
    for time in times:
        record = after_miss(record, LIMIT, time)
    return record


def _locked_again(record: Record, now: int) -> tuple[Record, int]:
    record = _missed([now] * LIMIT.misses, record)
    return record, locked_us(record, now)


def test_the_fifth_miss_within_ten_minutes_locks_for_fifteen() -> None:
    record = _missed([START + n * MINUTE for n in range(4)])
    assert locked_us(record, START + 4 * MINUTE) == 0
    record = after_miss(record, LIMIT, START + 4 * MINUTE)
    assert locked_us(record, START + 4 * MINUTE) == 15 * MINUTE
    assert locked_us(record, START + 19 * MINUTE - 1) == 1
    assert locked_us(record, START + 19 * MINUTE) == 0


def test_misses_that_are_far_apart_never_lock() -> None:
    record = NOBODY
    for n in range(100):
        record = after_miss(record, LIMIT, START + n * 150_000_001)
        assert locked_us(record, START + n * 150_000_001) == 0
    assert len(record.misses) <= LIMIT.misses


def test_a_lock_doubles_each_time_up_to_the_longest() -> None:
    record, now, locks = NOBODY, START, []
    for _ in range(9):
        record, lock = _locked_again(record, now)
        locks.append(lock // MINUTE)
        now += lock
    assert locks == [15, 30, 60, 120, 240, 480, 960, 1440, 1440]


def test_after_a_lock_a_guesser_has_all_tries_again() -> None:
    record, lock = _locked_again(NOBODY, START)
    later = START + lock
    record = _missed([later] * 4, record)
    assert locked_us(record, later) == 0


def test_the_doubling_is_forgotten_after_a_quiet_time_and_not_before() -> None:
    record, lock = _locked_again(NOBODY, START)
    quiet = START + lock + LIMIT.quiet_us
    assert not is_forgotten(record, LIMIT, quiet - 1)
    assert is_forgotten(record, LIMIT, quiet)
    assert _locked_again(record, quiet - 1)[1] == 30 * MINUTE
    assert _locked_again(record, quiet)[1] == 15 * MINUTE


def test_a_miss_while_locked_changes_nothing() -> None:
    record, _ = _locked_again(NOBODY, START)
    assert after_miss(record, LIMIT, START + 1) == record


def test_a_limit_that_was_lowered_counts_what_was_missed_before() -> None:
    record = _missed([START] * 4)
    lower = Limit(2, LIMIT.window_us, LIMIT.lock_us, LIMIT.lock_us_max, LIMIT.quiet_us)
    assert locked_us(after_miss(record, lower, START), START) == 15 * MINUTE


@given(st.lists(st.integers(0, 20 * MINUTE), max_size=60))
def test_nobody_gets_more_misses_than_the_limit_in_any_window(pauses: list[int]) -> None:
    record, now, answered = NOBODY, START, []
    for pause in pauses:
        now += pause
        if not locked_us(record, now):
            answered.append(now)
            record = after_miss(record, LIMIT, now)
    for time in answered:
        assert sum(time - LIMIT.window_us < other <= time for other in answered) <= LIMIT.misses


def test_an_address_is_all_of_ipv4_and_a_64_of_ipv6() -> None:
    assert network_of("192.0.2.1") != network_of("192.0.2.2")
    assert network_of("::ffff:192.0.2.1") == network_of("192.0.2.1")
    assert network_of("2001:db8:1:2::1") == network_of("2001:db8:1:2:ffff::9%eth0")
    assert network_of("2001:db8:1:2::1") != network_of("2001:db8:1:3::1")
    with pytest.raises(ValueError, match="not appear to be"):
        network_of("example.org")


def test_a_kept_address_shows_nothing_and_belongs_to_its_app() -> None:
    kept = address_of(b"pepper", "kernel", "192.0.2.1")
    assert kept == address_of(b"pepper", "kernel", "::ffff:192.0.2.1")
    assert "192" not in kept[:3]
    assert len({kept, address_of(b"other", "kernel", "192.0.2.1"), address_of(b"pepper", "coins", "192.0.2.1")}) == 3
