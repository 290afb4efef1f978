"""Doing several things at once until one of them ends."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")
INSIST_S = 5.0


async def run_together(*works: Coroutine[Any, Any, None]) -> None:
    """Run these side by side until the first ends; the others are cancelled. Raises what the first that failed raised.

    Not a `TaskGroup`: on Python 3.11 one that is winding up after a failure swallows the cancellation of its parent,
    and what tries again after failures then never stops.
    """
    tasks = [asyncio.ensure_future(work) for work in works]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        ended = [task for task in tasks if task.done()]
        await end(*tasks)
    for task in ended:
        task.result()


async def end(*tasks: asyncio.Future[None]) -> None:
    """Cancel these and wait until they have ended, however they do.

    One cancellation is not enough: when a connection has been lost, the end of a transaction fails, its error takes
    the cancellation's place, and what tries again after such errors goes on. So they are told again every
    :data:`INSIST_S`.
    """
    insisting = asyncio.create_task(_insist(tasks))
    try:
        await asyncio.gather(*tasks, return_exceptions=True)
    finally:
        insisting.cancel()


async def _insist(tasks: Sequence[asyncio.Future[None]]) -> None:
    while True:
        for task in tasks:
            task.cancel()
        await asyncio.sleep(INSIST_S)


async def in_thread(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """`asyncio.to_thread` for work on something that is closed when its user is told to stop.

    A cancellation waits for the end of the work, which no thread can be told: what it works on is still open then.
    """
    working = asyncio.ensure_future(asyncio.to_thread(work, *args, **kwargs))
    try:
        return await asyncio.shield(working)
    finally:
        while not working.done():
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.wait([working])
