"""Settling calls, for as long as it takes: at their end, and at the start of the proxy what an earlier one left."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from libs.events.failpoints import reach
from libs.events.tasks import end
from services.meter import metrics
from services.meter.domain.calls import Call
from services.meter.handlers.paying import PASSING, Paying
from services.meter.journal import Journal

logger = logging.getLogger(__name__)

PAUSE_FIRST_S = 0.5
PAUSE_MAX_S = 30.0


class Settling:
    """Settles calls in the background; what is not done when it is closed, the next start of the proxy does."""

    def __init__(self, journal: Journal, paying: Callable[[Call], Paying]) -> None:
        self._journal = journal
        self._paying = paying
        self._tasks: set[asyncio.Task[None]] = set()

    def recover(self) -> None:
        """Settle what an earlier process left."""
        for call in self._journal.open_calls():
            logger.info("settling call %s of an earlier run", call.id)
            self.begin(call.id)

    def begin(self, call_id: str) -> asyncio.Task[None]:
        """Settle a call that has ended. The task ends when that is done."""
        task = asyncio.create_task(self._settle(call_id), name=f"settle-{call_id}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def close(self, wait_s: float) -> None:
        """Give what is under way a little time, then leave it to the next start."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=wait_s)
        await end(*self._tasks)

    async def _settle(self, call_id: str) -> None:
        pause_s = PAUSE_FIRST_S
        while True:
            try:
                await self._once(call_id)
            except PASSING as error:
                logger.warning("call %s is not settled yet: %s", call_id, error)
                metrics.RETRIES.inc()
                await asyncio.sleep(pause_s)
                pause_s = min(2 * pause_s, PAUSE_MAX_S)
            else:
                return

    async def _once(self, call_id: str) -> None:
        call = self._journal.call(call_id)
        paying = self._paying(call)
        hold = call.hold or await paying.find_hold()
        await paying.settle(hold, call.due)
        self._journal.settled(call_id)
        reach("meter.settled")
