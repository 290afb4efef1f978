"""The last affordable token is found, whatever the step and the credits."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from services.meter.domain.reach import Reach


@given(affordable=st.integers(0, 5000), step=st.integers(1, 600))
def test_it_ends_at_the_last_affordable_token(affordable: int, step: int) -> None:
    reach, asked = Reach(held=0, step=step), 0
    while not reach.exhausted:
        asked += 1
        if reach.target <= affordable:
            reach.granted()
        else:
            reach.refused()
    assert reach.held == affordable
    assert asked <= affordable // step + 1 + step.bit_length()


def test_more_is_asked_for_ahead_of_need() -> None:
    reach = Reach(held=8, step=8)
    assert not reach.is_short(3)
    assert reach.is_short(4)
    reach.granted()
    assert (reach.held, reach.is_short(4)) == (16, False)
    reach.beyond = 17
    assert reach.exhausted
    assert not reach.is_short(16)
