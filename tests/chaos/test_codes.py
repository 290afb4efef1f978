"""Codes under load while parts of the suite are away or die: exactly as many uses as there may be, none without its
credits, none twice."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence

import pytest

from tests.chaos.codes import CodesStage, codes_stage
from tests.chaos.process import Process
from tests.waiting import beside, eventually

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

POINTS = (
    "redemption.reserved",
    "redemption.committed",
    "redemption.answered",
    "redemption.settled",
    "redemption.told",
)
"""Before a reservation's commit, after it; before an outcome is settled, before the commit of that, after it."""
OF_WORKER = ("redemption.answered", "redemption.settled")


@pytest.fixture(scope="module")
async def stage(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[CodesStage]:
    """One stage for the trials of this file."""
    async with codes_stage(tmp_path_factory.mktemp("codes"), TALLYSTICK_CODES_ANSWER_S="2") as running:
        yield running


def users(stem: str, count: int) -> list[str]:
    """So many users whom nobody has heard of."""
    return [f"{stem}{random.getrandbits(40):x}-{number}" for number in range(count)]


async def test_200_at_once_for_a_limit_of_50_are_exactly_50(stage: CodesStage) -> None:
    text = await stage.code(amount="10", max_uses=50)
    told = await stage.redeem_all(text, users("many", 200))
    assert told == {"code_used_up": 150, "confirmed": 50}
    await stage.settled()
    assert await stage.violations(text, 50, 10) == []


async def test_one_user_who_hits_20_times_gets_one(stage: CodesStage) -> None:
    text = await stage.code(amount="10")
    told = await stage.redeem_all(text, users("one", 1) * 20)
    assert told == {"code_already_redeemed": 19, "confirmed": 1}
    assert await stage.violations(text, 1, 10) == []


async def test_a_repeat_gets_the_same_answer_from_every_process(stage: CodesStage) -> None:
    text = await stage.code(amount="10", max_uses=1)
    body = {"code": text, "user": users("again", 1)[0]}
    answers = await asyncio.gather(*[stage.ask(body, "the-key", door) for door in stage.doors * 3])
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    first, *others = [await stage.ask(body, "the-key", door) for door in stage.doors]
    assert {other.content for other in others} == {first.content}
    assert first.headers["idempotency-replayed"] == "true"
    other_body = await stage.ask({**body, "user": "somebody-else"}, "the-key")
    assert (other_body.status_code, other_body.json()["code"]) == (422, "idempotency_key_reused")


async def test_what_the_ledger_refuses_gives_the_use_back(stage: CodesStage) -> None:
    too_precise = await stage.code(amount="0.5", max_uses=1)
    answer = await stage.ask({"code": too_precise, "user": users("fine", 1)[0]})
    assert (answer.status_code, answer.json()["code"]) == (409, "grant_refused"), answer.text
    assert await stage.sql("SELECT reserved + redeemed FROM codes WHERE text = $1", too_precise) == 0

    (closed,) = users("closed", 1)
    text = await stage.code(amount="10", max_uses=1)
    for path, body in (
        ("grants", {"user": closed, "amount": "1", "source": "promo"}),
        ("charges", {"user": closed, "amount": "1"}),
        (f"accounts/{closed}/close", {}),
    ):
        role = "admin" if "close" in path else "service"
        sent = stage.headers(role, **{"Idempotency-Key": f"{path}-{closed}"})
        done = await stage.http.post(f"{stage.ledger.url}/v1/{path}", json=body, headers=sent)
        assert done.status_code in (200, 201), done.text
    answer = await stage.ask({"code": text, "user": closed})
    assert (answer.status_code, answer.json()["reason"]) == (409, "account_closed"), answer.text
    assert await stage.redeem(text, users("open", 1)[0]) == "confirmed"


async def test_without_the_ledger_it_is_promised_and_settles_by_itself(stage: CodesStage) -> None:
    await stage.ledger.kill()
    await _promised_then_settled(stage, stage.ledger)


async def test_without_the_broker_it_is_promised_and_settles_by_itself(stage: CodesStage) -> None:
    broker = stage.cluster.broker
    assert broker is not None
    await broker.kill()
    (stage.cluster.data / "broker.json").unlink()
    # The one that comes back is empty: what was published to the other is sent again.
    await _promised_then_settled(stage, broker)


async def _promised_then_settled(stage: CodesStage, away: Process) -> None:
    text = await stage.code(amount="10", max_uses=2)
    user, other = users("patient", 2)
    answer = await stage.ask({"code": text, "user": user}, f"key-{user}")
    assert (answer.status_code, answer.json()["status"]) == (202, "reserved"), answer.text
    assert answer.headers["location"] == answer.json()["status_url"]
    redemption = answer.json()["id"]
    assert (await stage.status(redemption))["expires_at"] is None

    away.start()

    async def confirmed() -> bool:
        return bool((await stage.status(redemption))["status"] == "confirmed")

    await eventually(confirmed, "the redemption settles", 120.0)
    repeat = await stage.ask({"code": text, "user": user}, f"key-{user}")
    assert (repeat.status_code, repeat.json()["status"]) == (201, "confirmed"), repeat.text
    assert await stage.redeem(text, other) == "confirmed"
    assert await stage.violations(text, 2, 10) == []


@pytest.mark.parametrize("point", POINTS)
async def test_whoever_dies_nothing_is_lost_stuck_or_twice(stage: CodesStage, point: str) -> None:
    await killed(stage, point, kills=3)


@pytest.mark.campaign
@pytest.mark.parametrize("point", POINTS)
async def test_whoever_dies_twenty_times(stage: CodesStage, point: str) -> None:
    for _ in range(5):
        await killed(stage, point, kills=4)


async def killed(stage: CodesStage, point: str, kills: int) -> None:
    """Twice as many users as there are uses, while processes die at the point, so many times in all."""
    doomed = [stage.worker, stage.doors[0]] if point in OF_WORKER else stage.doors
    await whole(stage)
    text = await stage.code(amount="10", max_uses=20)
    for process in doomed:
        await process.stop()
    before = {process.name: process.starts for process in doomed}
    async with beside(dying(doomed, point, kills)):
        told = await stage.redeem_all(text, users("mortal", 40))
        await stage.settled()
    deaths = sum(process.starts - before[process.name] - 1 for process in doomed)
    assert told == {"code_used_up": 20, "confirmed": 20}
    assert await stage.violations(text, 20, 10) == []
    assert deaths, f"nobody died at {point}"


async def whole(stage: CodesStage) -> None:
    """Start again whoever is dead, and wait until all are there."""
    for process in (*stage.doors, stage.worker):
        if not process.alive:
            process.start()
        await process.ready()


async def dying(processes: Sequence[Process], point: str, kills: int) -> None:
    """Start these whenever they are dead, so many times to die at the point, and then for good."""
    chance = random.Random(point)  # noqa: S311
    while True:
        for process in processes:
            if not process.alive:
                process.start(f"{point}=kill@{chance.randint(1, 3)}" if kills > 0 else "")
                kills -= 1
        await asyncio.sleep(0.05)
