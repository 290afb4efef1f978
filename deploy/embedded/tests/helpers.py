"""Waiting for what other processes do."""

import time
from collections.abc import Callable

BOUND_S = 15.0


def eventually(condition: Callable[[], object], within_s: float = BOUND_S) -> None:
    """Returns when the condition holds; fails the test when it does not in time."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not so after {within_s:g} s"
        time.sleep(0.02)
