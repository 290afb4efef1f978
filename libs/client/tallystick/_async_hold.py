"""A hold as an `async with` statement."""

from __future__ import annotations

import asyncio
import time
from types import TracebackType
from typing import TYPE_CHECKING, Self, Unpack

from ._held import Held
from ._lease import BRIEF, Lease
from ._request import Common, Request
from ._routes import holds
from .errors import HoldResolved
from .models import Capture, Hold
from .values import Amount, Usage

if TYPE_CHECKING:
    from ._async_client import AsyncCaller


class AsyncHolding(Held):
    """Created on entering; on leaving, by whatever way, what was not captured is released.

    While the block runs a task extends it, up to the ledger's maximum. Creating and releasing are shielded:
    cancelling whoever waits for them leaves them to end in the background, which closing the client waits for.
    """

    def __init__(self, caller: AsyncCaller, request: Request[Hold]) -> None:
        super().__init__(request)
        self._caller = caller
        self._extending: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._enter_once()
        sent_at = time.monotonic()
        creating = asyncio.create_task(self._caller.call(self._request))
        try:
            lease = self._begin(await asyncio.shield(creating), sent_at)
        except asyncio.CancelledError:
            self._caller.in_background(self._abandon(creating))
            raise
        self._extending = asyncio.create_task(self._extend(lease))
        return self

    async def capture(
        self, amount: Amount | None = None, *, usage: Usage | None = None, final: bool = True, **common: Unpack[Common]
    ) -> Capture:
        """Charge `amount` of it, what `usage` costs, or all it has. Unless `final` is False this ends it.

        The rest is released then. Raises HoldResolved when it had ended.
        """
        try:
            capture = await self._caller.call(holds.capture(self.id, amount, usage=usage, final=final, **common))
        except HoldResolved:
            self._gone()
            raise
        self._note(capture, final)
        return capture

    async def extend(
        self,
        *,
        amount: Amount | None = None,
        usage: Usage | None = None,
        partial: bool | None = None,
        **common: Unpack[Common],
    ) -> Hold:
        """Hold `amount` more, or all of a new estimated `usage`. Its time is extended without that.

        Raises InsufficientCredits, and HoldResolved when it had ended.
        """
        self._hold = await self._caller.call(
            holds.extend(self.id, amount=amount, usage=usage, partial=partial, **common)
        )
        return self._hold

    async def release(self) -> None:
        """Let it go now. Raises HoldResolved when it had ended."""
        self._hold = await self._caller.call(holds.release(self.id))
        self._end()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.shield(self._caller.in_background(self._leave()))

    async def _leave(self) -> None:
        if self._extending is not None:
            self._extending.cancel()
            await asyncio.wait({self._extending})
        if self._open:
            await self._let_go(self.id)

    async def _extend(self, lease: Lease) -> None:
        while (pause_s := lease.pause_s(time.monotonic())) is not None:
            await asyncio.sleep(pause_s)
            sent_at = time.monotonic()
            try:
                lease.extended(await self._caller.call(holds.extend(self.id, lease.ttl_s or 1), BRIEF), sent_at)
            except Exception as failure:  # A background task has nobody to raise to: the lease tells by `lost`.
                lease.failed(failure, time.monotonic())

    async def _let_go(self, hold_id: str) -> None:
        try:
            async with asyncio.timeout(BRIEF.total_s):
                await self._caller.call(holds.release(hold_id), BRIEF)
        except Exception as failure:
            self._left_over(failure)
        self._end()

    async def _abandon(self, creating: asyncio.Task[Hold]) -> None:
        """Cancelled while it was being created: once it is there it is released."""
        try:
            async with asyncio.timeout(BRIEF.total_s):
                self._hold = await creating
        except (Exception, asyncio.CancelledError):
            return
        await self._let_go(self.id)
