"""A soak: load, samples of memory, a fault every so often, and the books in the end."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from tests.chaos.process import Process, keep
from tests.chaos.stage import Stage, stage
from tests.reliability import spread
from tests.soak.figures import Fault, Sample, drift, slope_mb_h

SAMPLE_S = 1.0
SETTLE_S = 2.0


async def soak(
    directory: Path, seconds: float, *, rate: float = 40.0, every_s: float = 20.0, seed: int = 1
) -> dict[str, Any]:
    """Load for so long with a fault every `every_s` seconds on average, then judge; the report.

    Everything that is asked for is remembered, some 3 kB for each command.
    """
    chance = random.Random(seed)  # noqa: S311
    faults: list[Fault] = []
    samples: dict[str, list[Sample]] = defaultdict(list)
    async with stage(directory, rate=rate, seed=seed) as on:
        everyone = [*on.writers, on.relay, on.consumer]
        async with _beside(keep(*everyone)), _beside(_sample(everyone, samples)):
            async with on.load.running():
                began = time.monotonic()
                await on.load.answers(20)
                while (left := began + seconds - time.monotonic()) > 0:
                    await asyncio.sleep(min(left, chance.expovariate(1 / every_s)))
                    if time.monotonic() < began + seconds:
                        faults.append(await _fault(on, chance))
                        await asyncio.sleep(SETTLE_S)
                ended = time.monotonic()
            verdict = await on.judged()
    recoveries: dict[str, list[float]] = defaultdict(list)
    for fault in faults:
        recoveries[fault.kind].append(fault.recovered - fault.began)
    return {
        "seed": seed,
        "rate": rate,
        "seconds": round(ended - began, 1),
        "faults": [{"kind": fault.kind, "at_s": round(fault.began - began, 1)} for fault in faults],
        "recovery": {kind: spread(each) for kind, each in recoveries.items()},
        "memory": {name: slope_mb_h(each) for name, each in samples.items()},
        "latency": drift(on.load.entries, faults, began, ended),
        "commands": verdict.commands,
        "succeeded": verdict.succeeded,
        "refused": verdict.refused,
        "repeated": verdict.repeated,
        "unsent": on.load.unsent,
        "events": verdict.events,
        "heard": verdict.heard,
        "anchors": verdict.anchors,
        "violations": verdict.violations,
    }


@asynccontextmanager
async def _beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Something that goes on while the block runs."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        (ended,) = await asyncio.gather(task, return_exceptions=True)
    assert isinstance(ended, asyncio.CancelledError), f"ended by itself: {ended!r}"


async def _sample(processes: list[Process], samples: dict[str, list[Sample]]) -> None:
    born: dict[tuple[str, int], float] = {}
    while True:
        for process in processes:
            with contextlib.suppress(OSError, ValueError, IndexError):
                memory = process.memory_bytes()
                birth = born.setdefault((process.name, process.starts), time.monotonic())
                samples[process.name].append(Sample(process.starts, time.monotonic() - birth, memory))
        await asyncio.sleep(SAMPLE_S)


async def _fault(on: Stage, chance: random.Random) -> Fault:
    kind, (inflict, who) = chance.choice(list(_FAULTS.items()))
    began = time.monotonic()
    await inflict(on)
    await on.recovered(who, time.monotonic())
    return Fault(kind, began, time.monotonic())


def _kill(who: str) -> Callable[[Stage], Awaitable[None]]:
    async def kill(on: Stage) -> None:
        await on.process(who).kill()

    return kill


async def _cut(on: Stage) -> None:
    await on.cluster.cut_connections()


async def _restart_postgres(on: Stage) -> None:
    await on.cluster.restart_postgres()


async def _restart_broker(on: Stage) -> None:
    await on.cluster.restart_broker()


_FAULTS: dict[str, tuple[Callable[[Stage], Awaitable[None]], str]] = {
    "writer killed": (_kill("writer"), "writer"),
    "relay killed": (_kill("relay"), "relay"),
    "consumer killed": (_kill("consumer"), "consumer"),
    "connections cut": (_cut, "writer"),
    "PostgreSQL killed": (_restart_postgres, "writer"),
    "broker replaced by an empty one": (_restart_broker, "relay"),
}
"""What is done, and whose work tells that it has been overcome."""
