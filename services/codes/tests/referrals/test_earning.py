"""Rewards: after the first payment and its hold, cancelled by a refund, never above the month's limit, once."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from libs.service.clock import parse_time
from libs.service.problems import Problem
from services.codes.store import rewards
from services.codes.tests.referrals.world import World

pytestmark = pytest.mark.anyio
DAY_S = 86_400
BOTH: dict[str, Any] = {"referee": {"amount": "10"}, "second_level": {"amount": "5"}}


async def brought(world: World, *users: str, **signals: str) -> None:
    """The first brings the second, that one the third, and so on."""
    for referrer, referee in pairwise(users):
        assert await world.bind(referee, await world.own(referrer), **signals) is not None


async def after(world: World, days: float) -> None:
    """Days pass, the timer fires, the ledger answers."""
    world.clock.advance(days * DAY_S)
    await world.fire()
    await world.ledger()


async def test_a_first_payment_earns_after_its_hold_and_once(world: World) -> None:
    await world.configure(**BOTH)
    await brought(world, "eva", "ada", "ben")
    await world.pay("ben", "o1")
    assert (await world.referral("ben")).status == "on_hold"
    await after(world, 13.999)
    assert world.granted == []
    await after(world, 0.001)
    assert (world.got("ada"), world.got("ben"), world.got("eva")) == (20, 10, 5)
    assert (await world.referral("ben")).status == "settled"
    assert {one.status for one in (await world.rewards("ben")).values()} == {"paid"}
    # Nothing later earns again: another order, another look of the timer, another answer.
    await world.pay("ben", "o2")
    await world.pay("ben", "o1")
    await after(world, 30)
    assert len(world.granted) == 3
    told = await world.events()
    assert told.count("referral_rewarded") == 3
    assert "referral_refused" not in told


async def test_only_two_levels_earn(world: World) -> None:
    await world.configure(hold_days=0, **BOTH)
    await brought(world, "top", "eva", "ada", "ben")
    await world.pay("ben", "o1")
    await after(world, 0)
    assert {user for _, user, _ in world.granted} == {"ben", "ada", "eva"}


async def test_without_a_second_level_one_earns(world: World) -> None:
    await world.configure(hold_days=0)
    await brought(world, "eva", "ada", "ben")
    await world.pay("ben", "o1")
    await after(world, 0)
    assert [(user, amount) for _, user, amount in world.granted] == [("ada", Decimal(20))]


async def test_an_order_of_nothing_is_no_payment(world: World) -> None:
    await world.configure(hold_days=0)
    await brought(world, "ada", "ben")
    await world.pay("ben", "free", 0)
    assert (await world.referral("ben")).status == "bound"
    await world.pay("ben", "o1")
    await after(world, 0)
    assert world.got("ada") == 20


async def test_who_had_paid_before_they_were_bound_earns_nothing(world: World) -> None:
    """Payments' event came late, after the binding."""
    await world.configure(hold_days=0)
    settled_us = world.now_us
    world.clock.advance(60)
    await brought(world, "ada", "ben")
    await world.pay("ben", "o1", settled_us=settled_us)
    assert (await world.referral("ben")).refusal == "paid_before"
    await after(world, 1)
    assert world.granted == []


async def test_per_cent_of_what_was_paid_and_not_refunded(world: World) -> None:
    await world.configure(
        referrer={"order_percent": 10}, referee={"order_percent": 5}, credits_per_minor={"USD": "0.01"}, decimals=2
    )
    await brought(world, "ada", "ben")
    await brought(world, "ada", "cleo")
    await world.pay("ben", "o1", 1999)
    await world.pay("cleo", "o2", 1999, currency="EUR")
    await world.refund("ben", "o1", 500, whole=False)
    await after(world, 14)
    assert (world.got("ada"), world.got("ben")) == (Decimal("1.50"), Decimal("0.75"))
    assert (await world.referral("cleo")).refusal == "no_reward"


async def test_a_refund_within_the_hold_cancels(world: World) -> None:
    await world.configure(**BOTH)
    await brought(world, "eva", "ada", "ben")
    await world.pay("ben", "o1")
    await after(world, 13)
    await world.refund("ben", "o1")
    await world.refund("ben", "o1")
    await after(world, 100)
    assert world.granted == []
    referral = await world.referral("ben")
    assert (referral.status, referral.refusal) == ("refused", "order_refunded")
    assert {one.status for one in (await world.rewards("ben")).values()} == {"refused"}
    assert (await world.events()).count("referral_refused") == 1


async def test_another_orders_refund_changes_nothing(world: World) -> None:
    await world.configure()
    await brought(world, "ada", "ben")
    await world.pay("ben", "o1")
    await world.pay("ben", "o2")
    await world.refund("ben", "o2")
    await after(world, 14)
    assert world.got("ada") == 20


async def test_a_refund_that_is_told_before_its_payment_cancels(world: World) -> None:
    await world.configure()
    await brought(world, "ada", "ben")
    await world.refund("ben", "o1")
    await world.pay("ben", "o1")
    assert (await world.referral("ben")).refusal == "order_refunded"
    assert await world.core.pool.fetchval("SELECT count(*) FROM referral_refunds") == 0


@pytest.mark.parametrize("after_refund", ["keep", "revoke"])
async def test_a_refund_after_the_hold(world: World, after_refund: str) -> None:
    """By the times of the events: whether the timer had fired is all the same."""
    await world.configure(after_refund=after_refund)
    await brought(world, "ada", "ben")
    await brought(world, "eva", "cleo")
    await world.pay("ben", "o1")
    await world.pay("cleo", "o2")
    world.clock.advance(14 * DAY_S)
    # The worker was away meanwhile: o1 is refunded before its reward is sent, o2 after.
    await world.refund("ben", "o1")
    await after(world, 0)
    await world.refund("cleo", "o2")
    await world.ledger()
    if after_refund == "keep":
        assert (world.got("ada"), world.got("eva"), world.revoked) == (20, 20, [])
    else:
        assert (world.got("ada"), world.got("eva"), len(world.revoked)) == (0, 20, 1)
        assert (await world.rewards("cleo"))["referrer"].status == "revoked"
        assert (await world.events())[-1] == "referral_reward_revoked"


async def test_a_refund_within_the_hold_that_is_heard_of_too_late_is_taken_back(world: World) -> None:
    await world.configure(after_refund="keep")
    await brought(world, "ada", "ben")
    await world.pay("ben", "o1")
    refunded_us = world.now_us
    world.clock.advance(14 * DAY_S)
    await world.fire()
    # On its way to the ledger when the refund is heard of.
    await world.refund("ben", "o1", at_us=refunded_us)
    assert world.granted == []
    await world.ledger()
    assert world.got("ada") == 20
    assert len(world.revoked) == 1
    assert (await world.rewards("ben"))["referrer"].status == "revoked"


async def test_the_months_limit_cuts_and_then_refuses(world: World) -> None:
    await world.configure(month_max_credits="50", hold_days=0, zone="Asia/Tehran", **BOTH)
    # 23:30 on the last of January in Tehran, which is 20:00 in UTC.
    world.clock.set(parse_time("2026-01-31T20:00:00Z"))
    users = [f"ben{number}" for number in range(5)]
    for user in users:
        await brought(world, "ada", user)
        if (await world.referral(user)).review == "waiting":
            await world.approve(await world.referral(user))
    for number, user in enumerate(users[:4]):
        await world.pay(user, f"o{number}")
        await after(world, 0)
    made = [(await world.rewards(user))["referrer"] for user in users[:4]]
    assert [one.amount for one in made] == [20, 20, 10, None]
    assert (made[3].status, made[3].refusal) == ("refused", "month_limit")
    # The referees' own credits don't count, and a new month begins by the app's clocks.
    assert [world.got(user) for user in users[:4]] == [10, 10, 10, 10]
    world.clock.advance(1800)
    await world.pay(users[4], "o9")
    await after(world, 0)
    assert world.got("ada") == 70


async def test_what_the_ledger_refuses_gives_the_month_back(world: World) -> None:
    await world.configure(month_max_credits="20", hold_days=0)
    await brought(world, "ada", "ben")
    await brought(world, "ada", "cleo")
    world.refuses = lambda command: command.user == "ada"
    await world.pay("ben", "o1")
    await after(world, 0)
    reward = (await world.rewards("ben"))["referrer"]
    assert (reward.status, reward.refusal) == ("refused", "by_ledger")
    world.refuses = lambda _command: False
    await world.pay("cleo", "o2")
    await after(world, 0)
    assert world.got("ada") == 20


async def test_who_pays_for_themselves_by_another_account_earns_nothing(world: World) -> None:
    """The same card or wallet, of which payments tell, is known when the hold ends at the latest."""
    await world.configure(**BOTH)
    await brought(world, "ada", "ben")
    await brought(world, "ada", "cleo")
    await world.pay("ben", "o1", payer_digest="card-of-ada")
    await world.pay("cleo", "o2", payer_digest="card-of-cleo")
    await world.pay("ada", "o3", payer_digest="card-of-ada")
    await after(world, 14)
    assert (await world.referral("ben")).refusal == "self_referral"
    assert (len(world.granted), world.got("ada"), world.got("cleo")) == (2, 20, 10)


async def flagged(world: World) -> None:
    """Ada has brought Ben, who seems to be her."""
    await world.own("ada", device="d1", network="192.0.2.1")
    await brought(world, "ada", "ben", device="d1", network="192.0.2.2")
    assert (await world.referral("ben")).review == "waiting"


async def test_flagged_ones_wait_and_are_paid_when_approved(world: World) -> None:
    await world.configure()
    await flagged(world)
    await world.pay("ben", "o1")
    await after(world, 30)
    assert world.granted == []
    assert (await world.rewards("ben"))["referrer"].status == "waiting"
    referral = await world.approve(await world.referral("ben"))
    assert (referral.review, referral.reviewed_by, referral.review_reason) == ("approved", "manager:mia", "known")
    await world.approve(referral)
    await after(world, 0)
    assert world.got("ada") == 20
    assert (await world.events()).count("referral_approved") == 1


async def test_approved_before_the_payment_it_earns_by_itself(world: World) -> None:
    await world.configure()
    await flagged(world)
    await world.approve(await world.referral("ben"))
    await world.pay("ben", "o1")
    await after(world, 14)
    assert world.got("ada") == 20


async def test_refused_by_a_manager(world: World) -> None:
    await world.configure()
    await flagged(world)
    await world.pay("ben", "o1")
    referral = await world.refuse(await world.referral("ben"))
    assert (referral.status, referral.refusal, referral.review_reason) == ("refused", "by_manager", "a farm")
    await world.refuse(referral)
    await after(world, 30)
    assert world.granted == []
    with pytest.raises(Problem, match="referral_resolved"):
        await world.approve(referral)


async def test_what_cannot_be_reviewed(world: World) -> None:
    await world.configure(hold_days=0)
    await brought(world, "ada", "ben")
    referral = await world.referral("ben")
    with pytest.raises(Problem, match="referral_not_flagged"):
        await world.approve(referral)
    await world.pay("ben", "o1")
    await after(world, 0)
    with pytest.raises(Problem, match="referral_resolved"):
        await world.refuse(referral)
    world.app = "coins"
    with pytest.raises(Problem, match="referral_not_found"):
        await world.refuse(referral)


@pytest.mark.parametrize("verdict", ["approve", "refuse"])
async def test_the_second_level_waits_for_the_review_of_who_stands_between(world: World, verdict: str) -> None:
    await world.configure(**BOTH)
    await world.own("eva", device="d1", network="192.0.2.1")
    await brought(world, "eva", "ada", device="d1", network="192.0.2.2")
    await brought(world, "ada", "ben")
    await world.pay("ben", "o1")
    await after(world, 14)
    assert (world.got("ada"), world.got("eva")) == (20, 0)
    assert (await world.referral("ben")).status == "on_hold"
    between = await world.referral("ada")
    await (world.approve(between) if verdict == "approve" else world.refuse(between))
    await after(world, 0)
    assert world.got("eva") == (5 if verdict == "approve" else 0)
    assert (await world.referral("ben")).status == "settled"


async def test_a_programme_that_has_ended_keeps_what_it_promised(world: World) -> None:
    await world.configure()
    await brought(world, "ada", "ben")
    await brought(world, "ada", "cleo")
    await world.pay("ben", "o1")
    document = world.core.configs.get("vpn").document.model_copy(update={"referrals": None})
    await world.core.configs.apply("vpn", document, None, "test", world.now_us)
    await world.pay("cleo", "o2")
    await after(world, 14)
    assert world.got("ada") == 20
    assert (await world.referral("cleo")).refusal == "no_programme"


async def test_apps_in_test_mode_live_by_their_own_clock(world: World) -> None:
    await world.configure()
    await brought(world, "ada", "ben")
    await world.pay("ben", "o1")
    day_us = DAY_S * 1_000_000
    pool, now_us = world.core.pool, world.now_us
    assert await rewards.due(pool, now_us + 30 * day_us, {"vpn": now_us + 13 * day_us}, 10) == []
    (due,) = await rewards.due(pool, now_us, {"vpn": now_us + 14 * day_us}, 10)
    assert due.due_at == now_us
