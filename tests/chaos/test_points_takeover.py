"""Short form of `python -m tests.chaos.faults`, but for PostgreSQL: who writes changes in the middle of the work."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.faults import campaign, fail_over, hand_over, pause
from tests.chaos.stage import stage
from tests.reliability import write_report

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(600)]

LEASE = {
    "TALLYSTICK_LEDGER_LEASE_RENEW_S": "0.4",
    "TALLYSTICK_LEDGER_LEASE_ANSWER_S": "2",
    "TALLYSTICK_LEDGER_LEASE_STALE_S": "2.5",
}
"""Shorter than usual, so that nobody waits long for it to run out."""


async def test_a_writer_that_was_killed_or_stopped_is_replaced_and_harms_nothing(tmp_path: Path) -> None:
    """C11: what stood still past its lease with an append before it loses its shard when it goes on, and appends
    nothing: the judge would see it."""
    async with stage(tmp_path, standby=True, rate=25.0, settings=LEASE) as on:
        async with on.load.running():
            await on.load.answers(20)
            await fail_over(on)
            await pause(on, "append.sending", 5)
        verdict = await on.judged()
        verdict.require()
        assert verdict.succeeded > 100


async def test_a_partition_is_handed_over_in_the_middle(tmp_path: Path) -> None:
    """Two shards: nothing is lost and nothing happens twice while a partition goes to the other, and back."""
    async with stage(tmp_path, shards=("0", "1"), rate=25.0) as on:
        async with on.load.running():
            await on.load.answers(20)
            for shard in ("1", "0"):
                await hand_over(on, 1, shard)
        verdict = await on.judged()
        verdict.require()
        assert verdict.succeeded > 20


@pytest.mark.campaign
@pytest.mark.timeout(1800)
async def test_each_of_it_several_times(tmp_path: Path) -> None:
    """`python -m tests.chaos.faults --times 5`, with a lease of the default length."""
    report = await campaign(tmp_path, 5, 1)
    write_report("faults", report)
    assert report["violations"] == []
