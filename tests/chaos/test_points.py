"""Short form of `python -m tests.chaos.points`: a kill at each crash point, under load, and the books afterwards."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from tests.chaos.history import judge
from tests.chaos.points import POINTS, kill_at
from tests.chaos.stage import stage

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

SHORT = (
    ("append.sending", "append.committed", "append.unmerged", "append.unanswered", "commands.answered"),
    ("locked", "locked"),
    ("relay.acknowledged", "bus.delivered"),
    ("consumer.committed",),
    ("rebuild.swapping",),
)
"""C1 and C3 to C6, C2, C7 and C8, C9, C14."""


async def test_killed_at_each_point_the_ledger_loses_nothing(tmp_path: Path) -> None:
    """C1–C9 and C14: every command has its one effect and its answer, and the books are proven."""
    chance = random.Random(1)  # noqa: S311
    points = {point.failpoint: point for point in POINTS}
    async with stage(tmp_path, rate=25.0) as on:
        async with on.load.running():
            await on.load.answers(20)
            for names in SHORT:
                result = await kill_at(on, [points[name] for name in names], chance)
                assert result.kills == len(names)
                assert result.violations == []
            await on.load.answers(20)
        verdict = await on.judged()
        verdict.require()
        assert verdict.succeeded > 200
        assert verdict.heard == verdict.events > verdict.succeeded
        assert verdict.anchors > 0
        assert verdict.pairs > 100

        # The judge is no rubber stamp: what was not so is seen.
        entries = on.load.entries
        grant = next(entry for entry in entries if entry.kind == "grant" and entry.succeeded and entry.door == "http")
        for lie, seen in (
            (replace(grant, key="another"), "nothing is stored"),
            (replace(grant, answer={**grant.answer, "id": "grant_x"}), "answered was"),
            (replace(grant, body={**grant.body, "amount": "1000"}), "counted are"),
            (replace(grant, status=402), "1 effects of"),
            (replace(grant, sent=entries[-1].answered + 1, answered=entries[-1].answered + 2), "sent after the answer"),
            (replace(grant, status=0), "no outcome"),
        ):
            on.load.entries = [lie if entry is grant else entry for entry in entries]
            assert any(seen in violation for violation in (await judge(on.cluster, on.load)).violations), seen
