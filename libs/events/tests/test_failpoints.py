"""Failpoints do nothing until they are armed, and then exactly what was asked for."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from libs.events import failpoints
from libs.events.failpoints import FailpointError, arm, parse, reach, reach_sent


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm("")


def _hits(name: str, times: int) -> list[int]:
    """Which of so many times raised, counted from 1."""
    found = []
    for number in range(1, times + 1):
        try:
            reach(name)
        except FailpointError:
            found.append(number)
    return found


def test_nothing_happens_unless_armed() -> None:
    assert _hits("append.committed", 100) == []
    arm("append.sent=raise")
    assert _hits("append.committed", 100) == []


def test_the_nth_time_only() -> None:
    arm("append.committed=raise@3; relay.acknowledged=raise")
    assert _hits("append.committed", 10) == [3]
    assert _hits("relay.acknowledged", 10) == [1]
    arm("append.committed=raise@2")
    assert _hits("append.committed", 10) == [2]
    assert _hits("relay.acknowledged", 10) == []


def test_a_chance_repeats_with_its_seed() -> None:
    arm("a.b=raise@10%:7")
    first = _hits("a.b", 500)
    assert 20 < len(first) < 90
    arm("a.b=raise@10%:7")
    assert _hits("a.b", 500) == first
    arm("a.b=raise@10%:8")
    assert _hits("a.b", 500) != first


@pytest.mark.parametrize(
    "text",
    ["append", "append.sent", "append.sent=", "a.b=burn", "a.b=kill@0", "a.b=kill@x", "a.b=kill@101%", "a.b=kill@3%:x"],
)
def test_what_is_not_understood_is_named(text: str) -> None:
    with pytest.raises(ValueError, match=text[:5]):
        parse(f"good.one=kill;{text}")


@pytest.mark.anyio
async def test_the_place_behind_a_send_is_reached_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    arm("append.sent=exit")
    order: list[str] = []
    monkeypatch.setitem(failpoints._ACTIONS, "exit", order.append)
    reach_sent("append.sent")
    reach_sent("append.other")
    order.append("the query is written")
    await asyncio.sleep(0)
    assert order == ["the query is written", "append.sent"]


@pytest.mark.parametrize(("action", "code"), [("kill", -signal.SIGKILL), ("exit", failpoints.EXIT_CODE)])
def test_a_process_ends_at_its_point_and_says_so(action: str, code: int) -> None:
    loop = "for n in range(9): print(n, flush=True); reach('a.b')"
    program = f"from libs.events.failpoints import arm, reach; arm('a.b={action}@2')\n{loop}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    assert ended.returncode == code
    assert ended.stdout.split() == ["0", "1"]
    assert f"failpoint a.b: {action} at time 2" in ended.stderr
