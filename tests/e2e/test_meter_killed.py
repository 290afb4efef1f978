"""A proxy that dies at any step of a call: afterwards the books are exact, and stay so however often it starts."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from tallystick import AsyncClient

from services.meter.domain.dialects import CHAT
from services.meter.domain.tokens import by_length, total
from tests.e2e.metering import MODEL, Meter, cents_spent, metering
from tests.e2e.suite import Suite
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
TOKENS = 12
SAID: dict[str, Any] = {"tokens": TOKENS, "prompt": 7, "pause_s": 0.005}
PAID = 7 + 2 * TOKENS
"""Hundredths of a credit that a whole call costs by what the upstream says."""


def counted(tokens: int) -> int:
    """Hundredths of a credit that a call costs by the proxy's own count, after so many tokens."""
    ask = CHAT.ask({"model": MODEL, "messages": [{"role": "user", "content": json.dumps(SAID)}]})
    return total(by_length, MODEL, ask.texts) + ask.overhead + 2 * tokens


async def recovered(meter: Meter) -> None:
    """Start it again, and wait until nothing is left to settle; then once more, when nothing must change."""

    async def settled() -> bool:
        return not await meter.metric("meter_open_calls")

    for _ in range(2):
        await meter.start()
        await eventually(settled, "nothing is left to settle")
        await meter.kill()


@pytest.mark.parametrize(
    "case",
    [
        ("meter.begun", 0),
        ("meter.held", 0),
        ("meter.sent", 0),
        ("meter.made@1", counted(1)),
        ("meter.made@9", counted(9)),
        ("meter.used", PAID),
        ("meter.captured", PAID),
        ("meter.settled", PAID),
    ],
)
async def test_x3_a_call_is_paid_once_wherever_the_proxy_dies(
    suite: Suite, metered: AsyncClient, tmp_path: Path, user: str, case: tuple[str, int]
) -> None:
    point, spent = case
    await metered.grant(user, 10)
    async with metering(suite, tmp_path, STEP_TOKENS="4") as meter:
        name, _, nth = point.partition("@")
        await meter.start(f"{name}=kill" + (f"@{nth}" if nth else ""))
        asking = asyncio.create_task(meter.chat(user, **SAID))
        await meter.died()
        await asyncio.gather(asking, return_exceptions=True)
        await recovered(meter)
        assert await cents_spent(metered, user, 10) == spent


@pytest.mark.parametrize("case", [("charge", counted(5)), ("drop", 0)])
async def test_x3_late_usage_is_settled_by_policy(
    suite: Suite, metered: AsyncClient, tmp_path: Path, user: str, case: tuple[str, int]
) -> None:
    late, spent = case
    await metered.grant(user, 10)
    async with metering(suite, tmp_path, HOLD_TTL_S="2", LATE=late) as meter:
        await meter.start("meter.made=kill@5")
        asking = asyncio.create_task(meter.chat(user, **SAID))
        await meter.died()
        await asyncio.gather(asking, return_exceptions=True)
        assert await cents_spent(metered, user, 10) == 0, "the hold has ended by its time limit"
        await recovered(meter)
        assert await cents_spent(metered, user, 10) == spent
        charges = [each async for each in metered.every_transaction(user, type="credits_charged")]
        assert len(charges) == bool(spent)


async def test_x3_many_calls_under_way_when_it_dies(
    suite: Suite, metered: AsyncClient, tmp_path: Path, user: str
) -> None:
    await metered.grant(user, 100)
    async with metering(suite, tmp_path, STEP_TOKENS="4") as meter:
        await meter.start("meter.made=kill@60")
        asking = [asyncio.create_task(meter.chat(user, **SAID)) for _ in range(8)]
        await meter.died()
        answers = await asyncio.gather(*asking)
        await recovered(meter)
        spent = await cents_spent(metered, user, 100)
        whole = [answer for answer in answers if answer.done]
        cut = [answer for answer in answers if not answer.done]
        least = len(whole) * PAID + sum(min(counted(answer.words), PAID) for answer in cut if answer.words)
        most = len(whole) * PAID + sum(max(counted(TOKENS), PAID) for _ in cut)
        assert least <= spent <= most
        holds = [each async for each in metered.every_hold(user)]
        assert not [hold for hold in holds if hold.status == "open"]


async def test_a_proxy_that_is_told_to_stop_settles_first(
    suite: Suite, metered: AsyncClient, tmp_path: Path, user: str
) -> None:
    await metered.grant(user, 10)
    async with metering(suite, tmp_path) as meter:
        await meter.start()
        asking = asyncio.create_task(meter.chat(user, tokens=40, pause_s=0.02))

        async def saying() -> bool:
            return meter.upstream.said > 3

        await eventually(saying, "the upstream is saying something")
        await meter.stop()
        answer = await asking
        assert (answer.words, answer.done) == (40, True), "what is under way is let finish"
        assert await cents_spent(metered, user, 10) == 7 + 2 * 40
