"""C6, I5, I7: whatever bytes lie in the topic of commands, the ledger goes on, and nobody's balance moves by them."""

from __future__ import annotations

import random
import time
from collections import Counter

import pytest

from libs.events.contracts.ledger import commands as c
from libs.events.envelope import Headers, to_headers
from libs.events.partition import partition_of
from services.ledger.tests.kafka.world import World, changed
from services.ledger.tests.support import APP, PARTITIONS, Ledger
from services.ledger.verify.run import verify
from tests.fuzz.bytes import anything, mutated, odd_object
from tests.reliability import write_figures
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

ROUND = 100
USERS = ("ann", "ben", "eve")
"""Who have nothing, so that no oddity can spend anything."""
RICH = "zoe.the.granted"


def odd_headers(good: Headers, chance: random.Random) -> Headers:
    """Headers some of which are gone, twice there, or say something else."""
    made = list(good)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(made)) if made else 0
        match chance.randrange(5):
            case 0 if made:
                del made[at]
            case 1 if made:
                made[at] = (made[at][0], mutated(made[at][1] or b"", chance))
            case 2 if made:
                made.insert(at, made[at])
            case 3:
                made.append((chance.choice(["ce_id", "ce_type", "ce_stream", "x", "ce_" + "y" * 500]), b"\xff" * 9))
            case _:
                made = [] if chance.random() < 0.2 else made
    return made


def odd_messages(world: World, chance: random.Random, number: int) -> list[tuple[int, bytes | None, Headers, bytes]]:
    """Records (partition, key, headers, value) that are no commands, or no good ones. None may succeed."""
    made: list[tuple[int, bytes | None, Headers, bytes]] = []
    for _ in range(number):
        user = chance.choice(USERS)
        # More than anybody has: where an oddity leaves it a command, it is one that is refused.
        good = world.command(c.ChargeCredits(user=user, amount="99999"), user)
        key: bytes | None = good.key
        headers, value = to_headers(good), good.data
        match chance.randrange(6):
            case 0:
                value = anything([value], chance)
            case 1:
                headers = odd_headers(headers, chance)
            case 2:
                value, headers = anything([value], chance), odd_headers(headers, chance)
            case 3:
                value = odd_object({"user": user, "amount": "99999", "service": "voice"}, chance)
            case 4:
                key = chance.choice([None, b"", chance.randbytes(20)])
                headers = to_headers(changed(good, app=chance.choice(["other", "coins", "a" * 63])))
            case _:
                headers = to_headers(changed(good, subject=chance.choice(["", "@app", "x" * 200, "a b", "\x00"])))
        astray = chance.random() < 0.2
        place = chance.randrange(PARTITIONS) if astray else partition_of(APP, user, PARTITIONS)
        made.append((place, key, headers, value))
    return made


async def flood(world: World, ledger: Ledger, chance: random.Random, rounds: int) -> Counter[str]:
    """Rounds of odd records with good commands between them; what came of all."""
    balances = {user: await world.balances(ledger, user) for user in (*USERS, RICH)}
    for _ in range(rounds):
        for partition, key, headers, value in odd_messages(world, chance, ROUND):
            await world.put(partition, key, headers, value)
        granted = await world.done(ledger, c.GrantCredits(user=RICH, amount="1"), RICH)
        assert granted.kind in ("credits_granted", "account_opened"), granted
        settled, held, owed = balances[RICH]
        balances[RICH] = (settled + 100, held, owed)
    for partition in range(PARTITIONS):
        await world.passed(ledger, partition)
    assert {user: await world.balances(ledger, user) for user in balances} == balances
    rows = await ledger.pool.fetch("SELECT reason, count(*) AS times FROM dead_letters GROUP BY reason")
    outcome = Counter({f"dead letter {row['reason']}": row["times"] for row in rows})
    told = await world.told(ledger)
    outcome.update(f"refused {event.payload['code']}" for event in told if event.kind == "command_refused")
    assert {event.user for event in told} <= {"@app", RICH}, "nobody else has got an account"
    verification = await verify(ledger.dsn)
    assert verification.ok, verification.violations
    return outcome


async def test_odd_records_become_dead_letters_or_refusals(world: World, ledger: Ledger) -> None:
    outcome = await flood(world, ledger, random.Random(5), rounds=3)  # noqa: S311
    assert outcome.total() >= 3 * ROUND * 0.9, outcome
    assert len(outcome) > 5, outcome


async def test_the_place_in_the_topic_outlives_a_restart(world: World) -> None:
    chance = random.Random(6)  # noqa: S311
    async with world.ledger() as ledger:
        for partition, key, headers, value in odd_messages(world, chance, 50):
            await world.put(partition, key, headers, value)
        for partition in range(PARTITIONS):
            await world.passed(ledger, partition)
        letters = await ledger.pool.fetchval("SELECT count(*) FROM dead_letters")
    async with world.ledger() as ledger:
        await world.done(ledger, c.GrantCredits(user="ann", amount="1"), "ann")

        async def same() -> bool:
            return bool(await ledger.pool.fetchval("SELECT count(*) FROM dead_letters") == letters)

        await eventually(same, "no dead letter twice")


@pytest.mark.campaign
@pytest.mark.timeout(1200)
async def test_many_odd_records(world: World, ledger: Ledger) -> None:
    began = time.monotonic()
    seed = time.time_ns() % 1_000_000
    rounds = 100
    outcome = await flood(world, ledger, random.Random(seed), rounds)  # noqa: S311
    figures = {"seed": seed, "records": rounds * ROUND, "outcomes": dict(outcome), "violations": 0}
    write_figures("fuzz-kafka", figures, began)
