"""C1 to C3: what the AI Coins bot does with its users' coins."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from tallystick import AlreadyEarned, AsyncClient, InsufficientCredits, NotFound
from tallystick.coins import Coins

from tests.e2e.conftest import new_user
from tests.e2e.suite import Suite, amounts

pytestmark = pytest.mark.anyio

DIRECTIONS = ("choose_personal", "choose_business")


async def test_c1_a_user_earns_100_then_150_then_250(coins: AsyncClient, user: str) -> None:
    seen = []
    for action in ("start", "choose_personal", "registration_confirmed"):
        earning = await coins.act(user, action)
        seen.append(amounts(earning, "amount", "available"))
        shown = await Coins(coins).get_balance(user)
        assert shown == earning.available, "the registration message shows the live balance"
    assert seen == [["100", "100"], ["50", "150"], ["100", "250"]]


@pytest.mark.parametrize("order", [DIRECTIONS, DIRECTIONS[::-1]])
async def test_c1_both_directions_or_a_switch_make_250_never_300(
    coins: AsyncClient, user: str, order: tuple[str, str]
) -> None:
    await coins.act(user, "start")
    await coins.act(user, order[0])
    for again in (order[1], order[0]):
        with pytest.raises(AlreadyEarned):
            await coins.act(user, again)
    assert (await coins.act(user, "registration_confirmed")).available == 250
    with pytest.raises(AlreadyEarned):
        await coins.act(user, order[1])
    assert await Coins(coins).get_balance(user) == 250


async def test_c1_both_directions_at_once_earn_once(coins: AsyncClient) -> None:
    for user in (new_user() for _ in range(5)):
        outcomes = await asyncio.gather(*(coins.act(user, each) for each in DIRECTIONS * 4), return_exceptions=True)
        assert sum(not isinstance(outcome, BaseException) for outcome in outcomes) == 1
        assert all(isinstance(outcome, AlreadyEarned) for outcome in outcomes if isinstance(outcome, BaseException))
        assert await Coins(coins).get_balance(user) == 50


async def test_c1_an_action_earns_once_however_often_it_is_reported(coins: AsyncClient, user: str) -> None:
    first = await coins.act(user, "start", idempotency_key="update-1")
    repeat = await coins.act(user, "start", idempotency_key="update-1")
    assert (repeat.id, repeat.replayed) == (first.id, True)
    assert repeat.available == 100
    with pytest.raises(AlreadyEarned):
        await coins.act(user, "start", idempotency_key="update-2")
    with pytest.raises(NotFound) as unknown:
        await coins.act(user, "dance")
    assert unknown.value.code == "unknown_action"
    assert await Coins(coins).get_balance(user) == 100


async def test_c2_add_subtract_and_balance(coins: AsyncClient, user: str) -> None:
    bot = Coins(coins)
    assert await bot.get_balance(user) == 0, "nobody has coins before the first"
    assert await bot.add_coins(user, 100, "start", "The first step") == 100
    assert await bot.subtract_coins(user, 30, "webinar", "A seat") == 70
    found = await bot.get_user_with_coins(user)
    assert found.user == user
    assert found.coins == 70


async def test_c2_subtracting_too_much_answers_minus_one_and_takes_nothing(coins: AsyncClient, user: str) -> None:
    bot = Coins(coins)
    assert await bot.subtract_coins(user, 1, "webinar") == -1
    await bot.add_coins(user, 20, "gift")
    assert await bot.subtract_coins(user, 21, "webinar") == -1
    assert await bot.get_balance(user) == 20
    with pytest.raises(InsufficientCredits) as short:
        await coins.charge(user, 21)
    assert amounts(short.value, "required", "available") == ["21", "20"]
    assert await bot.subtract_coins(user, 20, "webinar") == 0


async def test_c2_users_may_be_telegram_numbers(coins: AsyncClient) -> None:
    bot, number = Coins(coins), int(new_user()[1:], 16)
    assert await bot.add_coins(number, 5, "gift") == 5
    assert (await bot.get_user_with_coins(number)).user == str(number)


async def test_c3_the_operation_log_says_who_what_why_and_when(coins: AsyncClient, user: str) -> None:
    bot, began = Coins(coins), datetime.now(UTC)
    await bot.add_coins(user, 100, "bonus", "Welcome aboard")
    await bot.subtract_coins(user, 30, "webinar", "31 December, 19:00")
    log = [each async for each in coins.every_transaction(user) if each.amount]
    assert [(str(each.amount), each.reason, each.description) for each in log] == [
        ("-30", "webinar", "31 December, 19:00"),
        ("100", "bonus", "Welcome aboard"),
    ]
    assert [each.type for each in log] == ["credits_charged", "credits_granted"]
    assert all(each.time is not None and began <= each.time <= datetime.now(UTC) for each in log)
    assert [amounts(each, "before", "after") for each in log] == [["100", "70"], ["0", "100"]]


async def test_c3_the_operation_log_is_queried_by_type_and_by_time(coins: AsyncClient, user: str) -> None:
    bot = Coins(coins)
    await bot.add_coins(user, 10, "first")
    await bot.subtract_coins(user, 1, "second")
    await bot.add_coins(user, 10, "third")
    charged = await coins.transactions(user, type="credits_charged")
    assert [each.reason for each in charged] == ["second"]
    moment = charged.data[0].time
    assert [each.reason for each in await coins.transactions(user, since=moment)] == ["third", "second"]
    assert [each.reason for each in await coins.transactions(user, type="credits_granted", until=moment)] == ["first"]


async def test_c3_administrators_query_the_operations_of_all_users(suite: Suite, coins: AsyncClient) -> None:
    began, users = datetime.now(UTC), {new_user(), new_user()}
    for user in users:
        await Coins(coins).add_coins(user, 7, "gift")
    async with suite.client("coins", "admin") as admin:
        events = [event async for event in admin.every_event(type="credits_granted", since=began)]
        one = next(iter(users))
        own = [event async for event in admin.every_event(user=one)]
    assert users <= {event.user for event in events}
    assert {event.type for event in events} == {"ledger.credits_granted.v1"}
    assert {event.user for event in own} == {one}
    granted = next(event for event in own if event.type == "ledger.credits_granted.v1")
    assert granted.payload is not None
    assert Decimal(granted.payload["lot"]["amount"]) == 7
