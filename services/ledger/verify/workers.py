"""Work on partitions in several processes, because folding events is all processor time."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any, Protocol, TypeVar

TaskT = TypeVar("TaskT")
ResultT = TypeVar("ResultT")
Report = Callable[[int], None]
"""Told how many more events are done. Raises when the work is no longer wanted."""
_POLL_S = 0.1


class Meter(Protocol):
    """Whoever shows how far the work is; a progress bar, for one."""

    def expect(self, total: int) -> None:
        """So much there is to do."""

    def advance(self, steps: int = 1) -> None:
        """So much more is done."""


class NoMeter:
    """Shows nothing."""

    def expect(self, total: int) -> None:
        """Nobody looks."""

    def advance(self, steps: int = 1) -> None:
        """Nobody looks."""


def jobs_default() -> int:
    """How many processes are worth starting on this machine."""
    return min(2, os.cpu_count() or 1)


class Stopped(Exception):
    """Raised by a report in a process whose parent has given up."""


class _Shared:
    """What a worker process shares with its parent."""

    done: Any = None
    stop: Any = None


def _start(done: Any, stop: Any) -> None:
    # Ctrl-C reaches every process of a terminal; the parent tells this one through `stop`.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _Shared.done, _Shared.stop = done, stop


def _report(events: int) -> None:
    if _Shared.stop.is_set():
        raise Stopped
    with _Shared.done.get_lock():
        _Shared.done.value += events


def _run(work: Callable[[TaskT, Report], Awaitable[ResultT]], task: TaskT) -> ResultT:
    async def main() -> ResultT:
        return await work(task, _report)

    return asyncio.run(main())


async def each_partition(
    work: Callable[[TaskT, Report], Awaitable[ResultT]], tasks: Sequence[TaskT], jobs: int, report: Report
) -> list[ResultT]:
    """The results of `work` on every task, in their order; `work` is a function of a module.

    With one job everything happens in this process. An error of one task ends the others.
    """
    if jobs <= 1 or len(tasks) <= 1:
        return [await work(task, report) for task in tasks]
    context = multiprocessing.get_context("spawn")
    done, stop = context.Value("q", 0), context.Event()
    executor = ProcessPoolExecutor(min(jobs, len(tasks)), context, _start, (done, stop))
    loop = asyncio.get_running_loop()
    futures = [loop.run_in_executor(executor, _run, work, task) for task in tasks]
    seen = 0
    try:
        waiting: set[asyncio.Future[ResultT]] = set(futures)
        while waiting:
            finished, waiting = await asyncio.wait(waiting, timeout=_POLL_S, return_when=asyncio.FIRST_EXCEPTION)
            for future in finished:
                future.result()
            now = done.value
            report(now - seen)
            seen = now
        return [future.result() for future in futures]
    finally:
        stop.set()
        for future in futures:
            future.cancel()
        await asyncio.gather(*futures, return_exceptions=True)
        executor.shutdown(cancel_futures=True)
