"""Short form of `python -m tests.chaos.points` and of what `tests.chaos.faults` does to PostgreSQL, on one cluster."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from services.ledger.verify.run import verify
from tests.chaos.faults import BEHIND, copy_database, cut, kept, kill_postgres, old_copy
from tests.chaos.history import judge
from tests.chaos.points import POINTS, kill_at
from tests.chaos.stage import Stage, stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

SHORT = (
    ("append.sending", "append.committed", "append.unmerged", "append.unanswered", "commands.answered"),
    ("locked", "locked"),
    ("relay.acknowledged", "bus.delivered"),
    ("consumer.committed",),
    ("rebuild.swapping",),
)
"""C1 and C3 to C6, C2, C7 and C8, C9, C14."""


async def test_the_ledger_loses_nothing_whatever_dies(tmp_path: Path) -> None:
    """C1–C9, C14, PostgreSQL and its connections: every command has its one effect and its answer, the books are
    proven. C12: of an old copy of the database the relay publishes nothing, and the anchors tell."""
    chance = random.Random(1)  # noqa: S311
    points = {point.failpoint: point for point in POINTS}
    async with stage(tmp_path, rate=25.0) as on:
        async with on.load.running():
            await on.load.answers(20)
            for names in SHORT:
                result = await kill_at(on, [points[name] for name in names], chance)
                assert result.kills == len(names)
                assert result.violations == []
            async with kept(on):
                await cut(on)
                await kill_postgres(on)
                await copy_database(on)
                await on.load.answers(40)
        async with kept(on):
            verdict = await on.judged()
        verdict.require()
        assert verdict.succeeded > 200
        assert verdict.heard == verdict.events > verdict.succeeded
        assert verdict.anchors > 0
        assert verdict.pairs > 100
        await _a_lie_is_seen(on)

        assert BEHIND in await old_copy(on)
        found = await verify(on.cluster.dsn("ledger"), anchors=on.cluster.anchors)
        assert {violation.invariant for violation in found.violations} == {"I4"}, found.violations


async def _a_lie_is_seen(on: Stage) -> None:
    """The judge is no rubber stamp: with one entry that was not so, it says what is wrong."""
    entries = on.load.entries
    grant = next(entry for entry in entries if entry.kind == "grant" and entry.succeeded and entry.door == "http")
    late = entries[-1].answered + 1
    for lie, seen in (
        (replace(grant, key="another"), "nothing is stored"),
        (replace(grant, answer={**grant.answer, "id": "grant_x"}), "answered was"),
        (replace(grant, body={**grant.body, "amount": "1000"}), "counted are"),
        (replace(grant, status=402), "1 effects of"),
        (replace(grant, sent=late, answered=late + 1), "sent after the answer"),
        (replace(grant, status=0), "no outcome"),
    ):
        on.load.entries = [lie if entry is grant else entry for entry in entries]
        assert any(seen in violation for violation in (await judge(on.cluster, on.load)).violations), seen
