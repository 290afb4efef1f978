"""A hold as a `with` statement: nothing is left behind, whichever way the block is left."""

import threading
import time
from collections.abc import Callable, Iterator
from decimal import Decimal

import httpx
import pytest
from tallystick import Client, HoldResolved

from .conftest import QUICK
from .ledger_peer import Ledger, answer_lost, answers


@pytest.fixture
def ada(ledger: Ledger) -> Iterator[Client]:
    """A client of a ledger where ada has 10."""
    with Client(retry=QUICK, transport=httpx.MockTransport(ledger)) as client:
        client.grant("ada", 10)
        yield client


def until(true: Callable[[], bool], limit_s: float = 5.0) -> None:
    deadline = time.monotonic() + limit_s
    while not true():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.005)


def extensions(ledger: Ledger) -> int:
    return len([path for path in ledger.paths() if path.endswith("/extend")])


def test_a_capture_charges_and_the_rest_is_free_again(ada: Client) -> None:
    with ada.hold("ada", "5", ttl_s=60) as hold:
        assert ada.state("ada").available == 5
        hold.capture("3.2")
    assert (hold.captured, ada.state("ada").available) == (Decimal("3.2"), Decimal("6.8"))


def test_what_partial_captures_left_is_released(ada: Client, ledger: Ledger) -> None:
    with ada.hold("ada", 5) as hold:
        hold.capture(1, final=False)
    assert ledger.open_holds() == []
    assert ada.state("ada").available == 9


@pytest.mark.parametrize("kind", [ZeroDivisionError, KeyboardInterrupt, SystemExit])
def test_an_exception_or_an_interrupt_releases_and_goes_on(
    ada: Client, ledger: Ledger, kind: type[BaseException]
) -> None:
    with pytest.raises(kind), ada.hold("ada", 5):
        raise kind
    assert ledger.open_holds() == []
    assert ada.state("ada").available == 10


def test_an_interrupt_while_it_is_being_created_releases_it(ada: Client, ledger: Ledger) -> None:
    def interrupted(request: httpx.Request, go: Callable[[], httpx.Response]) -> httpx.Response:
        go()
        raise KeyboardInterrupt

    ledger.faults["/holds"] += [interrupted]
    with pytest.raises(KeyboardInterrupt), ada.hold("ada", 5):
        pytest.fail("the block was entered")
    assert len(ledger.holds) == 1
    assert ledger.open_holds() == []


def test_long_work_keeps_its_hold_and_its_thread_ends(ada: Client, ledger: Ledger) -> None:
    threads = threading.active_count()
    with ada.hold("ada", 5, ttl_s=2) as hold:
        until(lambda: extensions(ledger) >= 2)
        assert (hold.lost, len(ledger.open_holds())) == (False, 1)
        hold.capture(5)
    assert threading.active_count() == threads
    assert ada.state("ada").available == 5


def test_a_refused_extension_is_told_and_a_late_capture_is_refused(ada: Client, ledger: Ledger) -> None:
    ledger.faults["/extend"] += [answers(409, "hold_resolved")]
    with pytest.raises(HoldResolved), ada.hold("ada", 5, ttl_s=1) as hold:
        until(lambda: hold.lost)
        until(lambda: ledger.open_holds() == [])
        hold.capture(5)
    assert ada.state("ada").available == 10


def test_a_lost_answer_makes_no_second_hold(ada: Client, ledger: Ledger) -> None:
    ledger.faults["/holds"] += [answer_lost, answer_lost]
    with ada.hold("ada", 5):
        assert len(ledger.holds) == 1
    assert ledger.open_holds() == []


def test_leaving_does_not_wait_for_the_next_extension(ada: Client) -> None:
    began = time.monotonic()
    with ada.hold("ada", 5, ttl_s=60):
        pass
    assert time.monotonic() - began < 4


def test_a_hold_is_entered_once(ada: Client, ledger: Ledger) -> None:
    hold = ada.hold("ada", 5)
    with hold:
        pass
    with pytest.raises(RuntimeError, match="once"), hold:
        pytest.fail("the block was entered")
    assert len(ledger.holds) == 1
