"""While a violation stops writes, commands from Kafka wait where they are, and are decided when writes go on."""

from __future__ import annotations

import pytest

from libs.events.contracts.ledger import commands as c
from libs.events.partition import partition_of
from services.ledger.store.violations import Found, record
from services.ledger.tests.kafka.world import World
from services.ledger.tests.support import APP, PARTITIONS, Ledger
from services.ledger.tests.verifier.support import refusal
from services.ledger.tests.verifier.test_halting import resume
from services.ledger.verify.run import verify
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

USERS = [f"user{number}" for number in range(6)]
ROUNDS = 4
WAITING = "commands are read again: read_only: Writes are stopped"


async def _log_ends(ledger: Ledger) -> int:
    found: int = await ledger.pool.fetchval("SELECT sum(position) FROM heads")
    return found


async def _is_told(caplog: pytest.LogCaptureFixture) -> bool:
    return WAITING in caplog.text


async def test_commands_wait_while_writes_are_stopped(world: World, caplog: pytest.LogCaptureFixture) -> None:
    """None is lost, buried or refused, also when the process is another by then, and each is decided once, in order."""
    async with world.ledger() as ledger:
        for user in USERS:
            await world.done(ledger, c.GrantCredits(user=user, amount="100"), user)
        await record(ledger.pool, [Found("I4", partition_of(APP, USERS[0], PARTITIONS), 1, "a test")], "a test")
        assert (await refusal(ledger)).status == 503
        end = await _log_ends(ledger)
        sent: dict[str, list[str]] = {user: [] for user in USERS}
        for number in range(ROUNDS):
            for user in USERS:
                sent[user].append(await world.send(c.ChargeCredits(user=user, amount=str(number + 1)), user))
        await eventually(lambda: _is_told(caplog), "a command is read, and not decided")
        assert (await refusal(ledger)).code == "read_only"
        assert await _log_ends(ledger) == end
    async with world.ledger() as ledger:
        assert (await refusal(ledger)).status == 503
        assert await _log_ends(ledger) == end
        assert await ledger.pool.fetchval("SELECT count(*) FROM dead_letters") == 0
        assert await resume(world.books) == 1
        for user, commands in sent.items():
            assert (await world.outcome(ledger, commands[-1])).kind == "credits_charged"
            charged = [each for each in await world.told(ledger) if each.user == user and each.cause in commands]
            assert [each.cause for each in charged] == commands
            assert [each.payload["amount"] for each in charged] == [f"{number + 1}.00" for number in range(ROUNDS)]
            assert await world.balances(ledger, user) == (10_000 - 1_000, 0, 0)
        assert await ledger.pool.fetchval("SELECT count(*) FROM dead_letters") == 0
        assert caplog.text.count(WAITING) == 1, "it is told once, not ten times a second"
        assert (await verify(ledger.dsn)).violations == []
