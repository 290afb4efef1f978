"""What the ledger does by itself: sweeps what is due, finishes transfers, forgets old keys, hears of other shards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

from libs.service.clock import SECOND_US, Clock, to_datetime
from libs.service.problems import NotLeader, Problem
from libs.service.timers import Poller
from services.ledger.core import Core
from services.ledger.domain import commands as cmd
from services.ledger.requests import Request
from services.ledger.resets import Resets
from services.ledger.store import reads
from services.ledger.store.reads import DueRow, TransferRow
from services.ledger.transfers import Transfers

logger = logging.getLogger(__name__)

SWEEP_CHUNK = 512
"""Accounts that are handed to the writer at once: it takes them behind live commands, a part in each batch."""

TRANSFER_CHUNK = 64
RETENTION_CHUNK = 1000
TRANSFER_POLL_S = 0.2
REFRESH_S = 1.0
RESETS_S = 1.0
RETENTION_POLL_S = 60.0
DAY_US = 86_400 * SECOND_US


def _first_due(batch: Sequence[DueRow]) -> int:
    return min(row.due_at for row in batch)


def _first_made(batch: Sequence[TransferRow]) -> int:
    return min(row.created_at for row in batch)


class Jobs:
    """The jobs of one process; use it as an async context manager, within which they run.

    A timer here is a whole chunk, whose members are done together, so that a backlog is worked off in batches.
    """

    def __init__(self, core: Core, transfers: Transfers, clock: Clock) -> None:
        self._core = core
        self._transfers = transfers
        self._keep_us = core.settings.key_days * DAY_US
        self._stack = AsyncExitStack()
        self._sweeper = Poller("sweep", self._accounts_due, self._sweep, clock=clock, due_at_us=_first_due, chunk=1)
        self._deliverer = Poller(
            "transfers",
            self._transfers_waiting,
            self._deliver,
            clock=clock,
            due_at_us=_first_made,
            chunk=1,
            interval_s=TRANSFER_POLL_S,
        )
        self._forgetter = Poller(
            "retention",
            self._old_results,
            self._forget,
            clock=clock,
            due_at_us=lambda moment: moment,
            chunk=1,
            interval_s=RETENTION_POLL_S,
        )
        resets = Resets(core)
        self._resets = Poller(
            "resets",
            resets.months,
            resets.finish,
            clock=clock,
            # Waiting for sweeps is not being late: those have a timer of their own.
            due_at_us=lambda _month: clock.now_us(),
            interval_s=RESETS_S,
        )
        self._refresher = Poller(
            "refresh",
            self._always,
            self._refresh,
            clock=clock,
            due_at_us=lambda moment: moment,
            chunk=2,
            interval_s=REFRESH_S,
        )

    async def __aenter__(self) -> Self:
        for poller in (self._refresher, self._forgetter, self._deliverer, self._sweeper, self._resets):
            await self._stack.enter_async_context(poller)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.aclose()

    def clock_advanced(self, _app: str) -> None:
        """The clock of an app in test mode was put forward."""
        self._sweeper.poke()
        self._resets.poke()

    def transfer_debited(self) -> None:
        """A transfer waits for its credit."""
        self._deliverer.poke()

    async def _accounts_due(self, now_us: int, _limit: int) -> list[list[DueRow]]:
        owned = self._core.owned()
        if not owned:
            return []
        times = {app: self._core.clocks.now_us(app) for app in self._core.configs.test_apps()}
        rows = await reads.accounts_due(self._core.pool, owned, now_us, times, SWEEP_CHUNK)
        return [rows] if rows else []

    async def _sweep(self, batch: list[DueRow]) -> None:
        writer = self._core.leader.writer
        if writer is None:
            raise NotLeader("Another process writes these accounts.")
        requests = [_sweep_request(row) for row in batch]
        for request in requests:
            if not self._core.knows(request):
                await self._core.hear_of(request)
        group = writer.submit_all(requests)
        await group.all_done
        for row, part in zip(batch, group.parts, strict=True):
            if isinstance(part.outcome, Problem):
                raise part.outcome
            if part.outcome is not None and part.outcome.body.startswith(b'{"reset"'):
                logger.debug("the allowance of %s in %s was reset", row.user, row.app)

    async def _transfers_waiting(self, _now_us: int, _limit: int) -> list[list[TransferRow]]:
        owned = self._core.owned()
        rows = await reads.transfers_waiting(self._core.pool, owned, TRANSFER_CHUNK) if owned else []
        return [rows] if rows else []

    async def _deliver(self, batch: list[TransferRow]) -> None:
        await asyncio.gather(*(self._transfers.step(row) for row in batch))

    async def _old_results(self, now_us: int, _limit: int) -> list[int]:
        """Real time, whatever the clocks of apps say."""
        moment = now_us - self._keep_us
        pool, before = self._core.pool, to_datetime(moment)
        found = await reads.has_results_before(pool, before) or await reads.has_quotes_before(pool, before)
        return [moment] if found else []

    async def _forget(self, moment: int) -> None:
        await reads.forget_results_before(self._core.pool, to_datetime(moment), RETENTION_CHUNK)
        await reads.forget_quotes_before(self._core.pool, to_datetime(moment), RETENTION_CHUNK)

    async def _always(self, now_us: int, _limit: int) -> list[int]:
        return [now_us]

    async def _refresh(self, _now_us: int) -> None:
        await self._core.configs.refresh()
        await self._core.clocks.load()


def _sweep_request(row: DueRow) -> Request:
    return Request(
        app=row.app,
        user=row.user,
        asset=row.asset,
        type="sweep",
        build=lambda _scale: cmd.Sweep(),
        caller="@clock",
        key="",
        fingerprint=b"",
        unique_fingerprint=b"",
        actor="@clock",
        door="job",
        request_id="",
    )
