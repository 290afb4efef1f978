"""The end of each month's resets: said once in every partition, when no allowance there is due any more.

Sweeps and commands do the resets; this only watches. What it knows, it reads: which accounts are still due, whose
latest reset was that one, and what has been said already. So it does not matter when a process dies.
"""

from __future__ import annotations

import hashlib
import logging
from typing import NamedTuple

from services.ledger.core import Core
from services.ledger.domain.config import AppConfig
from services.ledger.domain.periods import period_of
from services.ledger.requests import CompleteReset, Request
from services.ledger.store import reads
from services.ledger.writer.log import APP_ACCOUNT

logger = logging.getLogger(__name__)


class Month(NamedTuple):
    """The start of a calendar month at which an app's allowances were due, in microseconds."""

    app: str
    due_at: int


def month_of(config: AppConfig, now_us: int) -> Month | None:
    """The month that `now_us` lies in; None where the app had no plan by calendar months when it began."""
    due_at = period_of("month", config.zone, now_us)[0]
    in_force = config.at(due_at)
    if in_force.applied_at > due_at or not any(plan.period == "calendar" for plan in in_force.plans.values()):
        return None
    return Month(config.app, due_at)


class Resets:
    """What one process says of the partitions that it writes."""

    def __init__(self, core: Core) -> None:
        self._core = core
        self._finished: dict[str, tuple[Month, frozenset[int]]] = {}
        """By app: the latest month that is all said, and the partitions that this is known of."""

        self._begun: set[Month] = set()

    async def months(self, _now_us: int, _limit: int) -> list[Month]:
        """The months of which something is still to be said here."""
        owned = frozenset(self._core.owned())
        found = []
        for app in self._core.configs.apps() if owned else ():
            config = self._core.configs.get(app)
            month = None if config is None else month_of(config, self._core.clocks.now_us(app))
            if month is not None and self._finished.get(app) != (month, owned):
                found.append(month)
        return found

    async def finish(self, month: Month) -> None:
        """Say it of every partition that is done. The rest is looked at again later."""
        core = self._core
        owned = core.owned()
        keys = {_key(month, partition): partition for partition in owned}
        told = await reads.resets_told(core.pool, month.app, APP_ACCOUNT, keys)
        left = [partition for partition in owned if partition not in told]
        if left and month not in self._begun:
            self._begun.add(month)
            logger.info("Monthly reset of %s started", month.app)
        for partition in await self._done(month, left):
            accounts = await reads.resets_done(core.pool, month.app, month.due_at, partition)
            if not await self._ask(month, partition, accounts):
                return
            told[partition] = accounts
        if len(told) < len(owned):
            return
        self._finished[month.app] = (month, frozenset(owned))
        if month in self._begun:
            self._begun.remove(month)
            logger.info("Monthly reset completed for %d users", sum(told.values()))

    async def _done(self, month: Month, partitions: list[int]) -> list[int]:
        """Those of the partitions in which nothing is due any more, nor will be."""
        waiting = await reads.resets_due(self._core.pool, month.app, month.due_at, partitions)
        ready = [partition for partition in partitions if partition not in waiting]
        # Commands that were decided before the month began may be on their way still.
        if not ready or not await self._ask(month, ready[0], None):
            return []
        waiting = await reads.resets_due(self._core.pool, month.app, month.due_at, ready)
        return [partition for partition in ready if partition not in waiting]

    async def _ask(self, month: Month, partition: int, accounts: int | None) -> bool:
        """Have the writer say it, or with no number wait for what it decided before; whether it did."""
        writer = self._core.writer_of(partition)
        if writer is None:
            return False
        command = CompleteReset(partition=partition, due_at=month.due_at, accounts=accounts)
        key = _key(month, partition)
        fingerprint = hashlib.sha256(key.encode()).digest()
        answer = await writer.submit(
            Request(
                app=month.app,
                user=APP_ACCOUNT,
                asset=None,
                type="reset.complete",
                build=lambda _scale: command,
                caller="@clock",
                key="" if accounts is None else key,
                fingerprint=fingerprint,
                unique_fingerprint=fingerprint,
                actor="@clock",
                door="job",
                read_key=True,
                request_id=key,
            )
        )
        return answer.status == 200


def _key(month: Month, partition: int) -> str:
    return f"reset:{month.due_at}:{partition}"
