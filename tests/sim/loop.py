"""An event loop without waiting: when nothing can be done now, it is the time of the next timer at once.

Callbacks of one moment keep their order, as asyncio promises; timers of one moment come in an order drawn by chance.
Every callback belongs to the process in whose context it was made. A process that is stopped keeps its callbacks until
it goes on, as after SIGSTOP; one that is killed never goes on.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Any

Context = contextvars.Context
_JITTER_S = 1e-7


class Host:
    """Where callbacks run: a process as the loop sees it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = False
        self.fuse = 0
        """So many steps until it is killed; 0 for never."""

        self.held: list[asyncio.Handle] = []
        self.context = contextvars.copy_context()
        self.context.run(HOST.set, self)

    def kill(self) -> None:
        """End at once, with nothing cleaned up."""
        self.stopped = True


HOST: contextvars.ContextVar[Host | None] = contextvars.ContextVar("host", default=None)


class Stuck(Exception):
    """Nothing is left to happen, but something is still waited for."""


class Loop(asyncio.BaseEventLoop):
    """The loop of one run. `steps` counts callbacks."""

    _ready: deque[Any]

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._now = 0.0
        self._draw = random.random
        self._timers: list[tuple[float, int, Any]] = []
        self._timer_count = 0
        self.nobody = contextvars.copy_context()
        """The context of what belongs to no process: the database, the broker, the network."""
        self.steps = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.failures: list[dict[str, Any]] = []
        self.set_task_factory(self._make_task)
        self.set_exception_handler(lambda _loop, failure: self.failures.append(failure))

    def time(self) -> float:
        """Virtual seconds since the run began."""
        return self._now

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        """As in asyncio, a hair later: so that timers of one moment come in any order."""
        when += self._draw() * _JITTER_S
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        self._timer_count += 1
        heappush(self._timers, (when, self._timer_count, timer))
        return timer

    def later(self, delay_s: float, callback: Callable[..., object], *args: Any) -> None:
        """Have something happen outside of all processes."""
        self.call_at(self._now + delay_s, callback, *args, context=self.nobody)

    def spawn(self, host: Host, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Start a task in a process."""
        return self.create_task(work, context=host.context)

    def resume(self, host: Host) -> None:
        """Let a stopped process go on with all that has come meanwhile."""
        host.stopped = False
        self._ready.extend(host.held)
        host.held.clear()

    def wind_up(self, hosts: Sequence[Host]) -> None:
        """End every task, so that nothing of a run outlives it."""
        for host in hosts:
            self.resume(host)
        for _ in range(50):
            waiting = [task for task in self.tasks if not task.done()]
            if not waiting:
                break
            for task in waiting:
                task.cancel()
            self.run_until_complete(asyncio.wait(waiting, timeout=30.0))
        self._ready.clear()
        self._timers.clear()
        self.close()

    def _make_task(
        self, _loop: asyncio.AbstractEventLoop, work: Any, context: Context | None = None
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=self, context=context)
        self.tasks.append(task)
        return task

    def _run_once(self) -> None:
        ready, timers = self._ready, self._timers
        if not ready:
            while timers and timers[0][2]._cancelled:
                heappop(timers)
            if not timers:
                raise Stuck
            self._now = max(self._now, timers[0][0])
        while timers and timers[0][0] <= self._now:
            timer = heappop(timers)[2]
            if not timer._cancelled:
                ready.append(timer)
        for _ in range(len(ready)):
            handle = ready.popleft()
            if handle._cancelled:
                continue
            host = handle._context.get(HOST)
            if host is not None and host.stopped:
                host.held.append(handle)
                continue
            self.steps += 1
            handle._run()
            if host is not None and host.fuse:
                host.fuse -= 1
                if not host.fuse:
                    host.kill()

    def _timer_handle_cancelled(self, handle: Any) -> None:
        """It is dropped when its time comes."""

    def _process_events(self, event_list: Any) -> None:
        raise NotImplementedError

    def _write_to_self(self) -> None:
        """Nothing sleeps that would have to be woken."""
