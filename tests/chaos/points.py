"""SIGKILL at every crash point under load: `python -m tests.chaos.points --times 20 [--only C3 ...] [--seed 1]`.

Each kill is at a named failpoint, the nth time that it is reached, n drawn by the seed. The next life, which is to be
killed next, shows how long the recovery took. The books are judged after each point.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from tests.chaos.process import DEADLINE_S, Process
from tests.chaos.stage import Stage, stage
from tests.reliability import spread, write_report

KILLED = 128 + 9


@dataclass(frozen=True, slots=True)
class Point:
    """A crash point: its number, the failpoint, whose it is, and the latest time of its being reached to kill at."""

    code: str
    failpoint: str
    who: str
    nth_max: int


POINTS = (
    Point("C1", "decide.read", "writer", 20),
    Point("C1", "decide.command", "writer", 120),
    Point("C1", "append.sending", "writer", 20),
    Point("C2", "append.sent", "writer", 20),
    Point("C2", "locked", "writer", 1),
    Point("C3", "append.committed", "writer", 20),
    Point("C3", "append.recovered", "writer", 1),
    Point("C4", "append.unmerged", "writer", 20),
    Point("C5", "append.unanswered", "writer", 20),
    Point("C6", "commands.read", "writer", 6),
    Point("C6", "commands.answered", "writer", 10),
    Point("C7", "relay.acknowledged", "relay", 30),
    Point("C8", "relay.sent", "relay", 30),
    Point("C8", "bus.delivered", "relay", 30),
    Point("C9", "consumer.handled", "consumer", 30),
    Point("C9", "consumer.committed", "consumer", 30),
    Point("C9", "stamper.numbered", "consumer", 30),
    Point("C9", "stamper.committed", "consumer", 30),
    Point("C14", "rebuild.begun", "rebuilder", 1),
    Point("C14", "rebuild.folded", "rebuilder", 1),
    Point("C14", "rebuild.finished", "rebuilder", 1),
    Point("C14", "rebuild.caught_up", "rebuilder", 1),
    Point("C14", "rebuild.swapping", "rebuilder", 1),
    Point("C14", "rebuild.swapped", "rebuilder", 1),
)
"""`locked` is no failpoint: the writer is killed while its append waits for a lock in the database.

By turns the append is aborted with its connection, or goes on while the next writer is taking over.
"""

LOCKED = "locked"
SWAPPED = "rebuild.swapped"
_LATE = {"append.recovered": "append.committed=raise@{nth};{name}=kill"}
"""To be killed while recovering, a connection must have been lost."""


@dataclass(slots=True)
class Result:
    """What came of a point. `recoveries` are seconds; a life that was killed before its first answer shows none."""

    kills: int = 0
    recoveries: list[float] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)


async def kill_at(on: Stage, points: Sequence[Point], chance: random.Random) -> Result:
    """Kill one life of a process at each of these points of its, and leave the last life running unharmed."""
    result = Result()
    for number, point in enumerate(points):
        if point.failpoint == LOCKED:
            result.recoveries.append(await _kill_waiting(on, late=number % 2 == 1))
            result.kills += 1
        elif point.who == "rebuilder":
            await _kill_rebuild(on, point, result)
    lives = [point for point in points if point.who != "rebuilder" and point.failpoint != LOCKED]
    if lives:
        await _kill_lives(on, lives, chance, result)
    return result


async def _kill_lives(on: Stage, points: Sequence[Point], chance: random.Random, result: Result) -> None:
    who = points[0].who
    process = on.process(who)
    await process.kill()
    for point in points:
        assert point.who == who, "the lives are of one process"
        nth = chance.randint(1, point.nth_max)
        before = process.end_of_life
        process.start(_LATE.get(point.failpoint, "{name}=kill@{nth}").format(name=point.failpoint, nth=nth))
        await _measure(on, who, before, process, result)
        code = await process.ended()
        assert code == KILLED, f"{process.name} ended with {code}:\n{process.last_words()}"
        assert f"failpoint {point.failpoint}: kill" in process.last_words(3), process.last_words()
        result.kills += 1
    before = process.end_of_life
    process.start()
    result.recoveries.append(await on.recovered(who, before))


async def _measure(on: Stage, who: str, since: float, process: Process, result: Result) -> None:
    """Note how long the recovery took, if this life lasts until then."""
    recovering = asyncio.create_task(on.recovered(who, since))
    ending = asyncio.create_task(process.ended())
    await asyncio.wait({recovering, ending}, return_when=asyncio.FIRST_COMPLETED)
    if recovering.done():
        result.recoveries.append(recovering.result())
    for task in (recovering, ending):
        task.cancel()
    await asyncio.gather(recovering, ending, return_exceptions=True)


async def _kill_waiting(on: Stage, *, late: bool) -> float:
    """C2: the append is in the database and waits when its writer dies; the seconds until the next answer.

    It is aborted with its connection; or, when it is `late`, it goes on while the next writer is taking over already.
    """
    writer, cluster = on.writers[0], on.cluster
    connection = await asyncpg.connect(cluster.admin_dsn())
    try:
        lock = connection.transaction()
        await lock.start()
        await connection.execute("LOCK TABLE events IN SHARE MODE")
        pid = await _waiting(on, "%ledger_append%")
        await writer.kill()
        killed = writer.end_of_life
        if not late:
            await connection.execute("SELECT pg_terminate_backend($1)", pid)
        writer.start()
        if late:
            await _waiting(on, "%ledger_take_over%")
        await lock.rollback()
    finally:
        await connection.close()
    return await on.recovered("writer", killed)


async def _waiting(on: Stage, query: str) -> int:
    """The process id of a writer's connection whose statement waits for a lock."""
    end = time.monotonic() + DEADLINE_S
    while True:
        pid = await on.cluster.sql(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'ledger-writer' AND wait_event_type = 'Lock'"
            " AND query LIKE $1",
            query,
        )
        if pid is not None:
            return int(pid)
        assert time.monotonic() < end, f"nothing waits in {query}"
        await asyncio.sleep(0.01)


async def _kill_rebuild(on: Stage, point: Point, result: Result) -> None:
    """C14: the projections are the ones from before, unless the swap was committed; and a later rebuild succeeds."""
    rebuilder = on.cluster.processes.get("rebuilder") or on.cluster.rebuilder()
    before = await _tables(on)
    rebuilder.start(f"{point.failpoint}=kill")
    code = await rebuilder.ended()
    assert code == KILLED, f"the rebuild ended with {code}:\n{rebuilder.last_words()}"
    result.kills += 1
    result.recoveries.append(await on.recovered("writer", rebuilder.end_of_life))
    if (await _tables(on) == before) != (point.failpoint != SWAPPED):
        result.violations.append(f"C14: killed at {point.failpoint}, the tables were {before}")
    if point.failpoint == SWAPPED:
        rebuilder.start()
        code = await rebuilder.ended()
        assert code == 0, f"the rebuild ended with {code}:\n{rebuilder.last_words()}"


async def _tables(on: Stage) -> str:
    """Which tables are the live ones."""
    return str(
        await on.cluster.sql(
            "SELECT string_agg(t::regclass::oid::text, ' ') FROM unnest($1::text[]) AS t",
            ["public.accounts", "public.lots", "public.holds", "public.transfers", "public.configs"],
        )
    )


async def campaign(
    directory: Path, times: int, *, only: Sequence[str] = (), seed: int = 1, say: bool = True
) -> dict[str, Any]:
    """Kill so many times at every point, or at those with the codes or failpoints in `only`; the report."""
    chance = random.Random(seed)  # noqa: S311
    points = [point for point in POINTS if not only or point.code in only or point.failpoint in only]
    began = time.monotonic()
    report: dict[str, Any] = {"seed": seed, "times": times, "points": []}
    recoveries: list[float] = []
    violations: list[str] = []
    async with stage(directory, seed=seed) as on:
        for point in points:
            async with on.load.running():
                await on.load.answers(10)
                result = await kill_at(on, [point] * times, chance)
                await on.load.answers(10)
            verdict = await on.judged()
            result.violations += verdict.violations
            if point.who == "writer":
                recoveries += result.recoveries
            violations += result.violations
            recovery = spread(result.recoveries)
            line = {
                "code": point.code,
                "failpoint": point.failpoint,
                "who": point.who,
                "kills": result.kills,
                "recovery": recovery,
                "violations": result.violations,
            }
            report["points"].append(line)
            if say:
                print(
                    f"{point.code:4} {point.failpoint:20} {result.kills:3} kills, recovery p50 {recovery['p50_s']:.2f}"
                    f" s, max {recovery['max_s']:.2f} s, {len(result.violations)} violations,"
                    f" {verdict.commands} commands so far",
                    flush=True,
                )
            if violations:
                break
        report |= {
            "kills": sum(line["kills"] for line in report["points"]),
            "writer_recovery": spread(recoveries),
            "commands": verdict.commands,
            "succeeded": verdict.succeeded,
            "refused": verdict.refused,
            "repeated": verdict.repeated,
            "events": verdict.events,
            "heard": verdict.heard,
            "anchors": verdict.anchors,
            "attempts": sum(entry.attempts for entry in on.load.entries),
            "faults": dict(on.load.faults),
            "violations": violations,
            "seconds": round(time.monotonic() - began, 1),
        }
    return report


def main() -> None:
    """Run the campaign; the exit code is 1 when anything was violated."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.points", description=__doc__)
    parser.add_argument("--times", type=int, default=20, help="kills at each point")
    parser.add_argument("--only", nargs="*", default=[], metavar="POINT", help="codes (C3) or failpoints")
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tallystick-points-") as directory:
        report = asyncio.run(campaign(Path(directory), options.times, only=options.only, seed=options.seed))
    write_report("points", report)
    recovery = report["writer_recovery"]
    print(
        f"{report['kills']} kills at {len(report['points'])} points, {report['commands']} commands,"
        f" {report['events']} events, {len(report['violations'])} violations; recovery of the writer p50"
        f" {recovery['p50_s']} s, p99 {recovery['p99_s']} s, max {recovery['max_s']} s; {report['seconds']} s"
    )
    for violation in report["violations"]:
        print(violation)
    sys.exit(bool(report["violations"]))


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        main()
