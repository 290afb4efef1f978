"""What befalls a ledger besides a kill at a known point: `python -m tests.chaos.faults --times 5 [--seed 1]`.

Each is done to a running cluster under load and returns the seconds until the next command was answered.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from libs.events.partition import partition_of
from tests.chaos.cluster import APP
from tests.chaos.load import Entry
from tests.chaos.process import DEADLINE_S, Process, keep
from tests.chaos.stage import Stage, stage
from tests.reliability import spread, write_report

PAUSES = ("decide.command", "append.sending", "append.sent", "append.unmerged", "append.unanswered")
"""Where a writer is stopped past its lease."""

BEHIND = "LogBehindError"
LOST = "no longer the writer of shard"


async def leader_of(on: Stage) -> tuple[Process, Process]:
    """(leader, standby) of a stage that has one of each."""
    end = time.monotonic() + DEADLINE_S
    while True:
        leading = [writer for writer in on.writers if await writer.metric("ledger_is_leader")]
        if len(leading) == 1:
            (other,) = [writer for writer in on.writers if writer is not leading[0]]
            return leading[0], other
        assert time.monotonic() < end, f"{len(leading)} writers lead"
        await asyncio.sleep(0.05)


async def fail_over(on: Stage) -> float:
    """Kill the leader; the standby goes on, and the killed one stands by when it is back."""
    leader, _ = await leader_of(on)
    await leader.kill()
    killed = leader.end_of_life
    answered = await on.load.answer_after(killed)
    leader.start()
    await leader.ready()
    return answered - killed


async def pause(on: Stage, failpoint: str, nth: int) -> float:
    """C11: a writer stands still past its lease at a failpoint; another takes over; the first one goes on, and loses.

    AssertionError unless it says that it has lost its shard: because its append was fenced or its lease had run out,
    whichever it sees first.
    """
    leader, standby = await leader_of(on)
    await standby.kill()
    standby.start(f"{failpoint}=stop@{nth}")
    await standby.ready()
    await leader.kill()
    await standby.standing_still()
    stopped = time.monotonic()
    leader.start()
    answered = await on.load.answer_after(stopped)
    lost = standby.said().count(LOST)
    standby.resume()
    end = time.monotonic() + DEADLINE_S
    while standby.said().count(LOST) == lost:
        assert time.monotonic() < end, f"{standby.name} does not see that it lost:\n{standby.last_words()}"
        await asyncio.sleep(0.02)
    await standby.ready()
    return answered - stopped


async def kill_postgres(on: Stage) -> float:
    """PostgreSQL dies with everything in it, and is started again at once."""
    killed = await on.cluster.restart_postgres()
    return await on.load.answer_after(killed) - killed


async def cut(on: Stage, application: str = "ledger%") -> float:
    """PostgreSQL ends the connections of the ledger, all at once."""
    assert await on.cluster.cut_connections(application)
    ended = time.monotonic()
    return await on.load.answer_after(ended) - ended


async def hand_over(on: Stage, partition: int, shard: str) -> float:
    """A partition goes over to another shard in the middle of its work; the seconds until that has answered for it."""

    def there(entry: Entry) -> bool:
        user = entry.body.get("user") or entry.body.get("from_user") or ""
        return entry.succeeded and partition_of(APP, user, on.cluster.partitions) == partition

    began = time.monotonic()
    await on.cluster.hand_over(partition, shard)
    while not await on.cluster.sql(
        "SELECT h.epoch = (SELECT e.epoch FROM events e WHERE e.partition = h.partition ORDER BY position DESC LIMIT 1)"
        " FROM heads h WHERE h.partition = $1",
        partition,
    ):
        assert time.monotonic() < began + DEADLINE_S, f"shard {shard} does not write partition {partition}"
        await asyncio.sleep(0.02)
    return await on.load.answer_after(time.monotonic(), of=there) - began


@asynccontextmanager
async def kept(on: Stage) -> AsyncIterator[None]:
    """The relay and the consumer are started again when they end, as long as the block runs."""
    keeping = asyncio.create_task(keep(on.relay, on.consumer))
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


async def old_copy(on: Stage) -> str:
    """C12: the database is put back to how it was some while ago; what the relay says, which must refuse to publish.

    The stage is of no use afterwards. The load must have been left.
    """
    cluster = on.cluster
    for process in (*on.writers, on.relay, on.consumer):
        await process.stop()
    await cluster.sql("ALTER DATABASE ledger RENAME TO present", database="postgres")
    await cluster.sql("ALTER DATABASE old RENAME TO ledger", database="postgres")
    on.relay.start()
    assert await on.relay.ended() != 0
    return on.relay.last_words()


async def copy_database(on: Stage) -> None:
    """Keep a copy of the ledger's database for :func:`old_copy`; everybody loses their connections for a moment."""
    await on.cluster.sql("ALTER DATABASE ledger ALLOW_CONNECTIONS false", database="postgres")
    await on.cluster.cut_connections()
    await on.cluster.sql("CREATE DATABASE old TEMPLATE ledger", database="postgres")
    for name in ("ledger", "old"):
        await on.cluster.sql(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true", database="postgres")


# The campaign


async def campaign(directory: Path, times: int, seed: int) -> dict[str, Any]:
    """Everything so many times, with a lease of the default length; the report."""
    chance = random.Random(seed)  # noqa: S311
    began = time.monotonic()
    found: dict[str, list[float]] = {}
    report: dict[str, Any] = {"seed": seed, "times": times, "commands": 0, "events": 0, "violations": []}

    async def close(on: Stage) -> None:
        verdict = await on.judged()
        report["commands"] += verdict.commands
        report["events"] += verdict.events
        report["violations"] += verdict.violations

    def note(name: str, seconds: float) -> None:
        found.setdefault(name, []).append(seconds)
        print(f"{name}: {seconds:.2f} s", flush=True)

    async with stage(directory / "standby", standby=True, seed=seed) as on:
        async with on.load.running():
            for _ in range(times):
                note("leader killed, standby takes over", await fail_over(on))
                for failpoint in PAUSES:
                    note(f"leader stopped at {failpoint}", await pause(on, failpoint, chance.randint(1, 20)))
        await close(on)
    async with stage(directory / "shards", shards=("0", "1"), seed=seed) as on:
        async with on.load.running():
            for number in range(2 * times):
                note("partition handed over", await hand_over(on, 1, "01"[(number + 1) % 2]))
        await close(on)
    async with stage(directory / "postgres", seed=seed) as on:
        async with kept(on):
            async with on.load.running():
                for _ in range(times):
                    note("PostgreSQL killed and started", await kill_postgres(on))
                    note("connections cut", await cut(on))
                    note("the writer's connections cut", await cut(on, "ledger-writer"))
                    await asyncio.sleep(chance.uniform(0.2, 1))
                await copy_database(on)
                await on.load.answers(50)
            await close(on)
        if BEHIND not in (said := await old_copy(on)):
            report["violations"].append(f"C12: the relay published from an old copy:\n{said}")
    return report | {
        "recovery": {name: spread(seconds) for name, seconds in found.items()},
        "seconds": round(time.monotonic() - began, 1),
    }


def main() -> None:
    """Run the campaign; the exit code is 1 when anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.faults", description=__doc__)
    parser.add_argument("--times", type=int, default=5, help="how often each fault")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tallystick-faults-") as directory:
        report = asyncio.run(campaign(Path(directory), options.times, options.seed))
    write_report("faults", report)
    for name, recovery in report["recovery"].items():
        print(f"{name}: {recovery['count']} times, p50 {recovery['p50_s']} s, max {recovery['max_s']} s")
    print(f"{report['commands']} commands, {len(report['violations'])} violations, {report['seconds']} s")
    for violation in report["violations"]:
        print(violation)
    sys.exit(bool(report["violations"]))


if __name__ == "__main__":
    main()
