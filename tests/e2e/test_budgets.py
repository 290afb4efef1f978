"""Budgets of a team, and A10's bonuses, in the running suite."""

from __future__ import annotations

import asyncio
from decimal import Decimal

import pytest
from tallystick import AlreadyEarned, AsyncClient

from tests.e2e.suite import Suite

pytestmark = pytest.mark.anyio


async def test_x2_a_team_pool_in_which_each_member_has_a_cap(suite: Suite, user: str) -> None:
    """Twenty members at once: none gets beyond its own cap, all together not beyond the pool's."""
    async with suite.http("kernel") as service, suite.http("kernel", "manager") as manager:
        await service.write("grants", {"user": user, "amount": "1000", "source": "paid"})
        budgets = [{"period": "month", "limit": "60"}, {"name": "seat", "member": "*", "period": "month", "limit": "5"}]
        done = await manager.write(f"accounts/{user}/budgets", {"budgets": budgets}, method="PUT")
        assert done.status_code == 200, done.text

        async def member(number: int) -> list[str]:
            codes = []
            for _ in range(4):
                body = {"user": user, "amount": "2", "member": f"seat:{number}"}
                answer = await service.write("charges", body)
                codes.append(answer.json().get("budget", "charged"))
            return codes

        told = await asyncio.gather(*(member(number) for number in range(20)))
        charged = [codes.count("charged") for codes in told]
        assert sum(charged) == 30, "the pool's 60, in steps of 2"
        assert max(charged) == 2
        assert {code for codes in told for code in codes} == {"charged", "seat", "month"}
        pool, seats = (await service.state(user))["budgets"]
        assert (pool["used"], pool["left"]) == ("60.00", "0.00")
        assert sum(Decimal(seat["used"]) for seat in seats["members"]) == 60


async def test_x2_a_hold_reserves_of_a_budget_and_gives_back_what_it_did_not_use(suite: Suite, user: str) -> None:
    async with suite.http("kernel") as service, suite.http("kernel", "manager") as manager:
        await service.write("grants", {"user": user, "amount": "100"})
        budgets = {"budgets": [{"name": "job", "key": "e2e-service", "period": "lifetime", "limit": "50"}]}
        await manager.write(f"accounts/{user}/budgets", budgets, method="PUT")
        hold = (await service.write("holds", {"user": user, "amount": "50"})).json()
        refused = await service.write("charges", {"user": user, "amount": "1"})
        assert (refused.status_code, refused.json()["code"]) == (409, "budget_exceeded")
        await service.write(f"holds/{hold['id']}/capture", {"amount": "20"})
        assert (await service.write("charges", {"user": user, "amount": "30"})).status_code == 201


async def test_a10_bonuses_for_referrals_activity_and_reviews(suite: Suite, user: str) -> None:
    async with suite.client("ai-credits") as client:
        before = (await client.act(user, "daily_activity")).available
        with pytest.raises(AlreadyEarned):
            await client.act(user, "daily_activity")
        for _ in range(5):
            await client.act(user, "referral")
        with pytest.raises(AlreadyEarned):
            await client.act(user, "referral")
        assert (await _review(client, user)) - before == 5 * 20 + 10


async def _review(client: AsyncClient, user: str) -> Decimal:
    earned = await client.act(user, "review_store")
    with pytest.raises(AlreadyEarned):
        await client.act(user, "review_blog")
    return earned.available
