"""The partition map, which Kafka's own clients must agree on, and every process of every release with them."""

from __future__ import annotations

import pytest

from libs.events.partition import murmur2, partition_key, partition_of

JAVA = {
    b"21": -973932308,
    b"foobar": -790332482,
    b"a-little-bit-long-string": -985981536,
    b"a-little-bit-longer-string": -1486304829,
    b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8": -58897971,
    b"abc": 479470107,
}
"""What Kafka's Java client computes, by its own tests (`UtilsTest.testMurmur2`), signed."""


@pytest.mark.parametrize(("data", "signed"), JAVA.items())
def test_the_hash_is_that_of_kafkas_java_client(data: bytes, signed: int) -> None:
    assert murmur2(data) == signed & 0xFFFFFFFF


def test_an_account_keeps_its_partition_for_ever() -> None:
    """A map that changed between two releases, or two processes, would give an account two writers."""
    users = ["ann", "ben", "12345", "a.b:c-d", "@app", ""]
    assert [partition_of("coins", user, 16) for user in users] == [6, 6, 1, 7, 0, 14]
    assert [partition_of("studio", user, 7) for user in users] == [3, 4, 1, 4, 4, 5]


def test_app_and_user_do_not_run_into_each_other() -> None:
    assert partition_key("a", "bc") != partition_key("ab", "c")
