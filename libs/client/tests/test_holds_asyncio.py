"""A hold as an `async with` statement: nothing is left behind, whichever way the block is left."""

import asyncio
import time
from collections.abc import AsyncIterator
from decimal import Decimal

import httpx
import pytest
from tallystick import AsyncClient, ConnectionFailed, HoldResolved, InsufficientCredits, Retry

from .conftest import QUICK, until
from .ledger_peer import Ledger, answer_lost, answers, not_reached

pytestmark = pytest.mark.anyio


@pytest.fixture
async def ada(ledger: Ledger) -> AsyncIterator[AsyncClient]:
    """A client of a ledger where ada has 10."""
    async with AsyncClient(retry=QUICK, transport=httpx.MockTransport(ledger.served)) as client:
        await client.grant("ada", 10)
        yield client


async def available(client: AsyncClient) -> Decimal:
    return (await client.state("ada")).available


async def test_a_capture_charges_and_the_rest_is_free_again(ada: AsyncClient, ledger: Ledger) -> None:
    async with ada.hold("ada", "5", ttl_s=60, reason="call") as hold:
        assert await available(ada) == 5
        capture = await hold.capture("3.2")
        assert (hold.id, hold.captured, hold.lost) == (capture.id, Decimal("3.2"), False)
        assert (await ada.get_charge(capture.charge)).amount == Decimal("3.2")
    assert await available(ada) == Decimal("6.8")
    assert not [path for path in ledger.paths() if path.endswith("/release")]


async def test_what_partial_captures_left_is_released(ada: AsyncClient, ledger: Ledger) -> None:
    async with ada.hold("ada", 5) as hold:
        await hold.capture(1, final=False)
        await hold.capture(2, final=False)
        assert hold.captured == 3
    assert ledger.open_holds() == []
    assert await available(ada) == 7


async def test_a_capture_without_an_amount_takes_all(ada: AsyncClient) -> None:
    async with ada.hold("ada", 5) as hold:
        await hold.capture(1, final=False)
        await hold.capture()
        assert hold.captured == 5
    assert await available(ada) == 5


async def test_a_hold_of_the_apps_default_time_is_extended_too(ada: AsyncClient, ledger: Ledger) -> None:
    ledger.hold_ttl_s = 1
    async with ada.hold("ada", 5):
        await until(lambda: any(path.endswith("/extend") for path in ledger.paths()))
        assert len(ledger.open_holds()) == 1


async def test_nothing_captured_is_nothing_charged(ada: AsyncClient, ledger: Ledger) -> None:
    async with ada.hold("ada", 5):
        pass
    assert ledger.open_holds() == []
    assert await available(ada) == 10


async def test_an_exception_releases_and_goes_on(ada: AsyncClient, ledger: Ledger) -> None:
    with pytest.raises(ZeroDivisionError):
        async with ada.hold("ada", 5):
            raise ZeroDivisionError
    assert ledger.open_holds() == []
    assert await available(ada) == 10


async def test_too_few_credits_never_enter_the_block(ada: AsyncClient) -> None:
    with pytest.raises(InsufficientCredits):
        async with ada.hold("ada", 50):
            pytest.fail("the block was entered")


@pytest.mark.parametrize("moment", ["creating", "working", "capturing"])
async def test_cancelling_at_any_moment_releases(ada: AsyncClient, ledger: Ledger, moment: str) -> None:
    working = asyncio.Event()

    async def work() -> None:
        async with ada.hold("ada", 5) as hold:
            working.set()
            if moment == "capturing":
                ledger.gate = asyncio.Event()
                await hold.capture(3)
            await asyncio.sleep(3600)

    if moment == "creating":
        ledger.gate = asyncio.Event()
    task = asyncio.create_task(work())
    await until(lambda: working.is_set() if moment == "working" else ledger.waiting == 1)
    task.cancel()
    await asyncio.sleep(0)
    if ledger.gate is not None:
        ledger.gate.set()
    with pytest.raises(asyncio.CancelledError):
        await task
    await until(lambda: ledger.holds != {} and ledger.open_holds() == [])
    assert await available(ada) == 10


async def test_a_second_cancel_does_not_stop_the_release_and_closing_waits_for_it(ledger: Ledger) -> None:
    async with AsyncClient(transport=httpx.MockTransport(ledger.served)) as client:
        await client.grant("ada", 10)

        async def work() -> None:
            async with client.hold("ada", 5):
                ledger.gate = asyncio.Event()
                await asyncio.sleep(3600)

        task = asyncio.create_task(work())
        await until(lambda: ledger.gate is not None)
        task.cancel()
        await until(lambda: ledger.waiting == 1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert len(ledger.open_holds()) == 1
        assert ledger.gate is not None
        asyncio.get_running_loop().call_later(0.05, ledger.gate.set)
    assert ledger.open_holds() == []


async def test_long_work_keeps_its_hold(ada: AsyncClient, ledger: Ledger) -> None:
    async with ada.hold("ada", 5, ttl_s=2) as hold:
        began = time.time()
        await until(lambda: time.time() > began + 2.5)
        assert len([path for path in ledger.paths() if path.endswith("/extend")]) == 2
        assert (hold.lost, len(ledger.open_holds())) == (False, 1)
        await hold.capture(5)
    extensions = len([path for path in ledger.paths() if path.endswith("/extend")])
    await asyncio.sleep(1.1)
    assert len([path for path in ledger.paths() if path.endswith("/extend")]) == extensions
    assert await available(ada) == 5


async def test_an_extension_that_failed_for_a_moment_is_made_up_for(ada: AsyncClient, ledger: Ledger) -> None:
    ledger.faults["/extend"] += [not_reached] * 4
    async with ada.hold("ada", 5, ttl_s=2) as hold:
        await until(lambda: len([path for path in ledger.paths() if path.endswith("/extend")]) == 5)
        assert (hold.lost, len(ledger.open_holds())) == (False, 1)


async def test_a_refused_extension_is_told_and_a_late_capture_is_refused(ada: AsyncClient, ledger: Ledger) -> None:
    ledger.faults["/extend"] += [answers(409, "hold_resolved")]
    with pytest.raises(HoldResolved) as late:
        async with ada.hold("ada", 5, ttl_s=1) as hold:
            await until(lambda: hold.lost)
            await until(lambda: ledger.open_holds() == [])
            await hold.capture(5)
    assert late.value.hold["status"] == "expired"
    assert hold.lost
    assert await available(ada) == 10


async def test_at_the_maximum_it_stops_extending(ada: AsyncClient, ledger: Ledger) -> None:
    ledger.hold_ttl_max_s = 1.2
    async with ada.hold("ada", 5, ttl_s=1):
        await until(lambda: ledger.open_holds() == [])
    assert len([path for path in ledger.paths() if path.endswith("/extend")]) == 2


async def test_a_lost_answer_makes_no_second_hold(ada: AsyncClient, ledger: Ledger) -> None:
    ledger.faults["/holds"] += [answer_lost, answer_lost]
    async with ada.hold("ada", 5):
        assert len(ledger.holds) == 1
    assert ledger.open_holds() == []


async def test_a_capture_whose_outcome_is_unknown_is_settled_by_the_release(ada: AsyncClient, ledger: Ledger) -> None:
    ledger.faults["/capture"] += [answer_lost] * QUICK.attempts
    with pytest.raises(ConnectionFailed):
        async with ada.hold("ada", 5) as hold:
            await hold.capture(3)
    assert ledger.open_holds() == []
    assert await available(ada) == 7


async def test_a_release_that_fails_spoils_nobodys_work(
    ada: AsyncClient, ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.faults["/release"] += [not_reached] * 10
    async with ada.hold("ada", 5, ttl_s=1) as hold:
        await hold.capture(2, final=False)
    assert "ends by its time limit" in caplog.text
    await until(lambda: ledger.open_holds() == [])
    assert await available(ada) == 8


async def test_a_hold_can_be_let_go_early(ada: AsyncClient, ledger: Ledger) -> None:
    async with ada.hold("ada", 5) as hold:
        await hold.release()
        assert not hold.lost
        assert await available(ada) == 10
    assert len([path for path in ledger.paths() if path.endswith("/release")]) == 1


async def test_many_at_once_leave_nothing_held(ledger: Ledger) -> None:
    retry = Retry(attempts=8, total_s=10.0, first_s=0.001, max_s=0.005)
    async with AsyncClient(retry=retry, transport=httpx.MockTransport(ledger.served)) as client:
        await client.grant("ada", 1000)
        for number in range(60):
            ledger.faults["/holds" if number % 2 else "/capture"] += [(answer_lost, not_reached)[number % 3 % 2]]

        async def work(number: int) -> None:
            async with client.hold("ada", 5) as hold:
                if number % 5 == 0:
                    raise ZeroDivisionError
                await hold.capture(1)

        await asyncio.gather(*(work(number) for number in range(100)), return_exceptions=True)
        assert ledger.open_holds() == []
        assert await available(client) == 1000 - 80
