"""A2, A3 and F7: what operations and models cost, shown before and charged after."""

from __future__ import annotations

import pytest
from tallystick import AsyncClient, InsufficientCredits

from tests.e2e.suite import Suite, amounts

pytestmark = pytest.mark.anyio

USAGE = {"input": 100_000, "cached": 40_000, "output": 10_000}


async def test_a2_costs_are_configuration_and_shown_to_clients(suite: Suite, user: str) -> None:
    async with suite.http("ai-credits", "user", sub=user) as own:
        prices = (await own.read("prices")).json()
    costs = {name: each["cost"] for name, each in prices["operations"].items()}
    assert costs == {"text_generation": "1", "image_generation": "5"}
    async with suite.client("ai-credits") as client:
        await client.charge(user, price="text_generation")
        charged = await client.charge(user, price="image_generation")
        assert amounts(charged, "amount", "available") == ["5", "94"]


async def test_a3_an_operation_is_checked_first_and_charged_after_it_succeeded(suite: Suite, user: str) -> None:
    async with suite.client("ai-credits") as client:
        await client.charge(user, "96")
        with pytest.raises(InsufficientCredits) as short:
            await client.create_hold(user, price="image_generation")
        assert amounts(short.value, "required", "available") == ["5", "4"]
        with pytest.raises(RuntimeError, match="the generator is away"):
            async with client.hold(user, price="text_generation"):
                raise RuntimeError("the generator is away")
        assert (await client.state(user)).available == 4, "a failed generation costs nothing"
        async with client.hold(user, price="text_generation") as hold:
            await hold.capture()
        assert (await client.state(user)).available == 3


async def test_f7_the_estimate_of_a_call_is_held_and_its_actual_usage_captured(
    studio: AsyncClient, suite: Suite, user: str
) -> None:
    await studio.grant(user, "60")
    quote = await studio.quote(user, model="openai/gpt-4o", usage=USAGE)
    # (60,000 × 250 + 40,000 × 125 + 10,000 × 1000) / 1,000,000 = 30, and a quarter more.
    assert (str(quote.amount), quote.affordable) == ("37.50", True)
    hold = await studio.create_hold(user, quote=quote.id)
    async with suite.http("studio") as http:
        refused = await http.write("holds", {"user": user, "model": "openai/gpt-4o", "usage": USAGE})
        assert (refused.status_code, refused.json()["code"]) == (402, "insufficient_credits")
        assert (refused.json()["required"], refused.json()["available"]) == ("37.50", "22.50")
    captured = await studio.capture(hold.id, usage={**USAGE, "output": 2_000})
    assert amounts(captured, "amount", "available") == ["27.50", "32.50"]
    state = await studio.state(user)
    assert amounts(state, "settled", "held") == ["32.50", "0.00"]
