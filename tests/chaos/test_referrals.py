"""The worker dies between a payment and its rewards, wherever that hurts: nothing is lost, nothing is paid twice."""

from __future__ import annotations

import asyncio
import random
import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.chaos.process import Process
from tests.chaos.referrals import ReferralStage, referral_stage
from tests.waiting import beside

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

POINTS = ("referral.promised", "referral.paying", "referral.sent", "referral.answered")
"""Before a promise is committed, before the command is committed, after that, before its outcome is committed."""
APP = Path("deploy/apps/vpn.yaml")
AT = "2026-01-10T12:00:00Z"
PROGRAMME = {
    "referrer": {"amount": "20"},
    "referee": {"amount": "10"},
    "second_level": {"amount": "5"},
    "hold_days": 0,
    "month_max_credits": "1000",
}


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ReferralStage]:
    """One stage for the trials of this file."""
    async with referral_stage(tmp_path_factory.mktemp("referrals")) as running:
        await running.apply(APP, referrals=PROGRAMME, test_mode={"clock_start": AT})
        yield running


@pytest.mark.parametrize("point", POINTS)
async def test_every_reward_is_paid_once(stage: ReferralStage, point: str) -> None:
    await paid_once(stage, point, groups=4, kills=2)


@pytest.mark.campaign
@pytest.mark.parametrize("point", POINTS)
async def test_every_reward_is_paid_once_many_times(stage: ReferralStage, point: str) -> None:
    for _ in range(5):
        await paid_once(stage, point, groups=20, kills=10)


async def paid_once(stage: ReferralStage, point: str, *, groups: int, kills: int) -> None:
    """Groups of three, of whom each brought the next and the last one pays, while the worker dies at the point."""
    worker = stage.codes.worker
    people = [tuple(f"{name}{secrets.token_hex(4)}" for name in ("eva", "ada", "ben")) for _ in range(groups)]
    for eva, ada, ben in people:
        await stage.bring(eva, ada)
        await stage.bring(ada, ben)
    await worker.stop()
    starts = worker.starts
    async with beside(dying(worker, point, kills)):
        for _, _, ben in people:
            await stage.pay(ben, f"order_{ben}", AT)
        for _, _, ben in people:
            await stage.until(ben, "settled", rewards="paid")
    assert worker.starts - starts > 1, f"nobody died at {point}"
    for eva, ada, ben in people:
        assert [await stage.balance(user) for user in (eva, ada, ben)] == ["5.00", "20.00", "10.00"]
    lots = "SELECT count(*) FROM lots WHERE user_id = ANY($1)"
    users = [user for group in people for user in group]
    assert await stage.codes.cluster.sql(lots, users) == 3 * groups


async def dying(worker: Process, point: str, kills: int) -> None:
    """Start the worker whenever it is dead, so many times to die at the point, and then for good."""
    chance = random.Random(point)  # noqa: S311
    while True:
        if not worker.alive:
            worker.start(f"{point}=kill@{chance.randint(1, 3)}" if kills > 0 else "")
            kills -= 1
        await asyncio.sleep(0.05)
