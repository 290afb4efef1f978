"""The verifier beside a ledger in a test's own process, at a pace that lets nobody wait."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from prometheus_client import REGISTRY

from libs.service.db import Pool, create_pool
from services.ledger.store.violations import recorded
from services.ledger.verify.follow import Pace
from services.ledger.verify.metrics import INVARIANTS
from services.ledger.verify.online import Rhythm, Verifier
from services.ledger.verify.state import State
from services.ledger.verify.watch import AnchorWatch
from tests.plugins.postgres import Database

DEADLINE_S = 60.0


@dataclass
class Verifying:
    """A verifier at work."""

    pool: Pool
    verifier: Verifier
    task: asyncio.Task[None]

    async def found(self) -> list[tuple[str, int | None, int | None]]:
        """(invariant, partition, position) of the violations that stop writers."""
        self._alive()
        return [(one.invariant, one.partition, one.position) for one in await recorded(self.pool)]

    async def details(self) -> list[str]:
        """What is said of them."""
        return [f"{one.invariant}: {one.detail}" for one in await recorded(self.pool)]

    async def finds(self, invariant: str) -> list[tuple[str, int | None, int | None]]:
        """Wait until a violation of this invariant is recorded; all that are."""
        deadline = monotonic() + DEADLINE_S
        while not any(one[0] == invariant for one in await self.found()):
            assert monotonic() < deadline, f"no violation of {invariant}: {await self.details()}"
            await asyncio.sleep(0.05)
        return await self.found()

    async def catches_up(self) -> None:
        """Wait until everything that is in the log now has been checked and compared."""
        heads = {row["partition"]: row["position"] for row in await self.pool.fetch("SELECT * FROM heads")}
        deadline = monotonic() + DEADLINE_S
        while any(self.verifier.verified.get(partition, -1) < position for partition, position in heads.items()):
            self._alive()
            assert monotonic() < deadline, f"verified {self.verifier.verified} of {heads}"
            await asyncio.sleep(0.02)

    async def patrols(self) -> None:
        """Wait until everything stored has been looked through once more from now on."""
        seen = self.verifier.turns
        deadline = monotonic() + DEADLINE_S
        while self.verifier.turns < seen + 2:
            self._alive()
            assert monotonic() < deadline, "the patrol does not come round"
            await asyncio.sleep(0.02)

    def _alive(self) -> None:
        if self.task.done():
            self.task.result()


def sample(name: str, **labels: str) -> float:
    """A metric as it is scraped."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


def counted() -> dict[str, float]:
    """Violations counted by invariant."""
    return {name: sample("ledger_invariant_violations_total", invariant=name) for name in INVARIANTS}


@asynccontextmanager
async def verifying(
    database: Database, directory: Path, *, name: str = "verifier", events_max: int = 2000, accounts_max: int = 100
) -> AsyncIterator[Verifying]:
    """A verifier on a ledger's database until the block ends; its file and the anchors are in `directory`."""
    pool = await create_pool(
        database.runtime_dsn, application_name=name, size_max=3, settings={"enable_seqscan": "off"}
    )
    state = State(directory / f"{name}.sqlite")
    anchors = AnchorWatch(directory / "anchors", directory / "keys" / "jwks.json")
    rhythm = Rhythm(share=1.0, poll_s=0.02, rest_s=0.05, pace=Pace(events_max, accounts_max))
    verifier = Verifier(pool, state, name=name, anchors=anchors, rhythm=rhythm)
    task = asyncio.create_task(verifier.run())
    try:
        yield Verifying(pool, verifier, task)
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        state.close()
        pool.terminate()


async def refusal(ledger: Any, **fields: Any) -> Any:
    """The problem that a write is refused with, waited for while writers do not know yet."""
    from libs.service.problems import Problem

    deadline = monotonic() + DEADLINE_S
    while True:
        writer = await ledger.writer()
        try:
            await writer.submit(ledger.request("grant", "somebody", amount=1, **fields))
        except Problem as problem:
            if problem.code == "read_only":
                return problem
        if monotonic() > deadline:
            pytest.fail("writes are not refused")
        await asyncio.sleep(0.05)
