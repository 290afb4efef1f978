"""What trials run on: a cluster with its processes and its load, and what counts as having recovered."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.cluster import SERVICE, Cluster
from tests.chaos.history import Verdict, judge
from tests.chaos.load import Load
from tests.chaos.process import DEADLINE_S, Process

POLL_S = 0.01
_PROGRESS = {
    "relay": ("ledger", "SELECT coalesce(sum(seq), 0) FROM relay_checkpoints"),
    "consumer": (SERVICE, "SELECT coalesce(sum(seq), 0) FROM consumer_checkpoints"),
}


@dataclass
class Stage:
    """One cluster under load. `writers` are the processes that the load is sent to."""

    cluster: Cluster
    writers: list[Process]
    relay: Process
    consumer: Process
    load: Load
    recoveries: list[float] = field(default_factory=list)
    """Seconds from the end of a process to the next sign of its work."""

    def process(self, who: str) -> Process:
        """`writer` (the first), `relay` or `consumer`."""
        return {"writer": self.writers[0], "relay": self.relay, "consumer": self.consumer}[who]

    async def recovered(self, who: str, since: float) -> float:
        """Wait for the next sign of work that began after the moment `since`; seconds from there.

        Of a writer that is an answer, of the relay and the consumer a checkpoint that moves.
        """
        if who == "writer":
            return await self.load.answer_after(since) - since
        before = await self.progress(who)
        end = time.monotonic() + DEADLINE_S
        while await self.progress(who) <= before:
            assert time.monotonic() < end, f"{who} does not go on:\n{self.process(who).last_words()}"
            await asyncio.sleep(POLL_S)
        return time.monotonic() - since

    async def progress(self, who: str) -> int:
        """How many events the relay has published, or the consumer has heard."""
        database, query = _PROGRESS[who]
        return int(await self.cluster.sql(query, database=database))

    async def judged(self) -> Verdict:
        """Let everything come to rest, and judge it. The load must have been left."""
        await self.load.finish()
        await self.cluster.quiet()
        return await judge(self.cluster, self.load)


@asynccontextmanager
async def stage(
    directory: Path,
    *,
    shards: Sequence[str] = ("0",),
    standby: bool = False,
    rate: float = 60.0,
    seed: int = 1,
    settings: dict[str, str] | None = None,
) -> AsyncIterator[Stage]:
    """A running cluster: a writer for each shard, and one more of the first if there is to be a `standby`.

    The load is not running yet: `async with stage.load.running()`. `settings` are those of the writers.
    """
    async with Cluster(directory, shards=shards) as cluster:
        names = [*shards, *(["standby"] if standby else [])]
        own: dict[str, Any] = settings or {}
        writers = [cluster.serve(name, name if name in shards else shards[0], **own) for name in names]
        relay = cluster.relay()
        consumer = cluster.consumer(writers[-1].url)
        writers[0].start()
        await writers[0].ready() if len(shards) == 1 else None
        for process in [*writers[1:], relay, consumer]:
            process.start()
        for process in [*writers, relay]:
            await process.ready()
        await cluster.configure(writers[0].url)
        load = Load(
            [writer.url for writer in writers],
            cluster.token,
            rate=rate,
            seed=seed,
            outbox_dsn=cluster.dsn(SERVICE),
            partitions=cluster.partitions,
        )
        yield Stage(cluster, writers, relay, consumer, load)
