"""Work side by side ends together, and whoever is told to stop does."""

import asyncio
import threading

import pytest

from libs.events import tasks
from libs.events.tasks import in_thread, run_together

pytestmark = pytest.mark.anyio


async def fail() -> None:
    raise LookupError("gone")


async def test_the_first_failure_ends_the_others_and_is_raised() -> None:
    ended = asyncio.Event()

    async def go_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()

    with pytest.raises(LookupError, match="gone"):
        await run_together(go_on(), fail())
    assert ended.is_set()


async def test_a_cancellation_that_comes_while_it_winds_up_is_not_lost() -> None:
    winding_up = asyncio.Event()

    async def end_slowly() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            winding_up.set()
            await asyncio.sleep(0)
            await asyncio.sleep(0)

    async def try_again() -> None:
        while True:
            try:
                await run_together(end_slowly(), fail())
            except LookupError:
                await asyncio.sleep(0)

    task = asyncio.create_task(try_again())
    await winding_up.wait()
    task.cancel()
    async with asyncio.timeout(10):
        await asyncio.wait([task])
    assert task.cancelled()


async def test_a_lost_connection_does_not_take_the_place_of_a_cancellation(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of a transaction on a connection that was lost raises, and what was cancelled in it tries again."""
    monkeypatch.setattr(tasks, "INSIST_S", 0.02)
    tried: list[str] = []

    async def try_again() -> None:
        while True:
            try:
                try:
                    await asyncio.sleep(60)
                finally:
                    if not tried:
                        raise ConnectionResetError
            except ConnectionResetError:
                tried.append("again")

    with pytest.raises(LookupError, match="gone"):
        async with asyncio.timeout(10):
            await run_together(try_again(), fail())
    assert tried == ["again"]


async def test_work_in_a_thread_has_ended_when_its_user_has() -> None:
    begun, may_end, ended = threading.Event(), threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        may_end.wait(10)
        ended.set()

    task = asyncio.create_task(in_thread(work))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    may_end.set()
    async with asyncio.timeout(10):
        await asyncio.wait([task])
    assert task.cancelled()
    assert ended.is_set()
