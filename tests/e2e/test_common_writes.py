"""X1, X2, X3: every change is an event, nobody overspends, nothing happens twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from tallystick import AsyncClient, IdempotencyKeyReused, InsufficientCredits, UniqueRefTaken

from tests.e2e.conftest import new_user
from tests.e2e.suite import Http, Suite, amounts

pytestmark = pytest.mark.anyio


async def test_x1_every_change_is_an_event_with_who_why_and_when(suite: Suite, user: str) -> None:
    began = datetime.now(UTC)
    async with suite.http("coins", "service", sub="bot-7") as bot, suite.http("coins", "admin", sub="ann") as ann:
        await bot.write("grants", {"user": user, "amount": "5", "reason": "gift", "reference": "update-9"})
        await ann.write("adjustments", {"user": user, "amount": "-2", "reason": "mistake"})
        events = (await ann.read("events", user=user)).json()["data"]
    told = [(event["type"], event["actor"], event["payload"].get("reason")) for event in reversed(events)]
    assert told == [
        ("ledger.account_opened.v1", "service:bot-7", None),
        ("ledger.credits_granted.v1", "service:bot-7", "gift"),
        ("ledger.balance_adjusted.v1", "admin:ann", "mistake"),
    ]
    times = [datetime.fromisoformat(event["time"]) for event in reversed(events)]
    assert began <= times[0] <= times[-1] <= datetime.now(UTC)
    assert [event["account_version"] for event in events] == sorted(
        (event["account_version"] for event in events), reverse=True
    )


async def test_x1_accounts_of_two_apps_and_two_users_have_nothing_in_common(
    coins: AsyncClient, studio: AsyncClient, user: str
) -> None:
    await coins.grant(user, "7")
    await studio.grant(user, "1.50")
    await coins.grant(new_user(), "9")
    assert (await coins.state(user)).available == 7
    assert (await studio.state(user)).available == Decimal("1.50")


async def test_x1_any_past_moment_can_be_asked_for(coins: AsyncClient, user: str) -> None:
    first = await coins.grant(user, "5")
    second = await coins.charge(user, "2")
    assert (await coins.state(user, position=first.position)).available == 5
    assert (await coins.state(user, min_position=second.position)).available == 3
    moment = (await coins.transactions(user, type="credits_granted")).data[0].time
    assert moment is not None
    assert (await coins.state(user, at=moment)).available == 5


async def test_x2_many_charges_at_once_never_overspend(suite: Suite, user: str) -> None:
    async with suite.client("coins") as one, suite.client("coins") as other:
        await one.grant(user, "100")
        outcomes = await asyncio.gather(
            *((one, other)[number % 2].charge(user, "1") for number in range(260)), return_exceptions=True
        )
        kinds = Counter(type(outcome).__name__ for outcome in outcomes)
        assert kinds == {"Charge": 100, "InsufficientCredits": 160}
        state = await one.state(user)
        assert amounts(state, "settled", "available") == ["0", "0"]
        charged = [each async for each in one.every_transaction(user, type="credits_charged")]
    assert len(charged) == 100
    assert sorted(each.after for each in charged if each.after is not None) == list(range(100))


async def test_x2_charges_holds_and_transfers_at_once_share_one_balance(coins: AsyncClient, user: str) -> None:
    await coins.grant(user, "60")
    friend = new_user()
    wishes: list[Coroutine[Any, Any, Any]] = [coins.charge(user, "2") for _ in range(20)]
    wishes += [coins.create_hold(user, "3", ttl_s=600) for _ in range(20)]
    wishes += [coins.transfer(user, friend, "5") for _ in range(10)]
    outcomes = await asyncio.gather(*wishes, return_exceptions=True)
    took = {"Charge": 2, "Hold": 3, "Transfer": 5}
    kinds = Counter(type(outcome).__name__ for outcome in outcomes)
    assert kinds.keys() <= took.keys() | {"InsufficientCredits"}
    state = await coins.state(user)
    assert state.available == 60 - sum(kinds[kind] * amount for kind, amount in took.items())
    assert 0 <= state.available < 5, "a wish was refused although there was enough for it"
    assert state.held == 3 * kinds["Hold"]
    if kinds["Transfer"]:
        assert (await coins.state(friend)).available == 5 * kinds["Transfer"]


async def test_x2_what_is_held_cannot_be_spent_until_it_is_released(coins: AsyncClient, user: str) -> None:
    await coins.grant(user, "10")
    hold = await coins.create_hold(user, "8")
    with pytest.raises(InsufficientCredits):
        await coins.charge(user, "3")
    await coins.release(hold.id)
    assert (await coins.charge(user, "3")).available == 7


async def test_x3_a_repeat_gets_the_first_answer(service: Http, user: str) -> None:
    await service.write("grants", {"user": user, "amount": "10"})
    body = {"user": user, "amount": "4", "reference": "order-1"}
    first = await service.write("charges", body, key="k1")
    again = await service.write("charges", body, key="k1")
    assert (first.status_code, again.status_code) == (201, 201)
    assert again.content == first.content
    assert "Idempotency-Replayed" not in first.headers
    assert again.headers["Idempotency-Replayed"] == "true"
    assert (await service.state(user))["available"] == "6"


async def test_x3_repeats_in_flight_wait_for_the_same_answer(service: Http, user: str) -> None:
    await service.write("grants", {"user": user, "amount": "10"})
    body = {"user": user, "amount": "4"}
    answers = await asyncio.gather(*(service.write("charges", body, key="k1") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.content for answer in answers}) == 1
    assert sum("Idempotency-Replayed" in answer.headers for answer in answers) == 19
    assert (await service.state(user))["available"] == "6"


async def test_x3_the_same_key_with_another_body_is_refused(coins: AsyncClient, service: Http, user: str) -> None:
    await coins.grant(user, "10", idempotency_key="k1")
    with pytest.raises(IdempotencyKeyReused):
        await coins.grant(user, "11", idempotency_key="k1")
    with pytest.raises(IdempotencyKeyReused):
        await coins.charge(user, "10", idempotency_key="k1")
    same = await service.write("grants", {"user": user, "amount": 10}, key="k1")
    assert (same.status_code, same.headers["Idempotency-Replayed"]) == (201, "true"), "10 is written in two ways"
    assert (await coins.state(user)).available == 10


async def test_x3_a_refusal_is_repeated_even_when_it_would_succeed_now(coins: AsyncClient, user: str) -> None:
    await coins.grant(user, "1")
    for _ in range(2):
        with pytest.raises(InsufficientCredits):
            await coins.charge(user, "5", idempotency_key="k1")
        await coins.grant(user, "10")
    assert (await coins.charge(user, "5", idempotency_key="k2")).available == 16


async def test_x3_a_mistake_does_not_use_up_its_key(service: Http, user: str) -> None:
    wrong = await service.write("grants", {"user": user, "amount": 1.5}, key="k1")
    right = await service.write("grants", {"user": user, "amount": "2"}, key="k1")
    assert (wrong.status_code, right.status_code) == (400, 201)


async def test_x3_keys_belong_to_their_caller_and_user(suite: Suite, user: str) -> None:
    async with suite.client("coins", sub="bot-a") as a, suite.client("coins", sub="bot-b") as b:
        await a.grant(user, "1", idempotency_key="k1")
        await b.grant(user, "1", idempotency_key="k1")
        await a.grant(new_user(), "1", idempotency_key="k1")
        assert (await a.state(user)).available == 2


async def test_x3_what_became_of_a_write_is_asked_by_its_key(suite: Suite, user: str) -> None:
    async with suite.client("coins", sub="bot-a") as bot, suite.client("coins", "admin") as admin:
        grant = await bot.grant(user, "3", idempotency_key="k1")
        outcome = await bot.get_command("k1", user)
        assert (outcome.status, outcome.body["id"]) == (201, grant.id)
        asked = await admin.get_command("k1", user, caller="bot-a")
        assert asked.body == outcome.body


async def test_x3_a_business_reference_happens_once_under_any_key(coins: AsyncClient, user: str) -> None:
    first = await coins.grant(user, "50", source="paid", unique_ref="payment_1")
    again = await coins.grant(user, "50", source="paid", unique_ref="payment_1")
    assert again.id == first.id
    assert again.replayed
    with pytest.raises(UniqueRefTaken):
        await coins.grant(user, "60", source="paid", unique_ref="payment_1")
    assert (await coins.state(user)).available == 50


async def test_x3_a_write_without_a_key_is_refused(service: Http, user: str) -> None:
    refused = await service.post("/v1/grants", json={"user": user, "amount": "1"})
    assert (refused.status_code, refused.json()["code"]) == (400, "idempotency_key_missing")
    assert (await service.read(f"accounts/{user}")).status_code == 404
