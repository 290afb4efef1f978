"""The system's clock is an hour off, or jumps: time in the log never goes back, and leases do not care.

The ledger lives by the time of its events: `max(clock, last)`. Leases go by the monotonic clock, tokens by the
wall clock as it is.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from pathlib import Path

import pytest

from libs.service.auth import Authenticator
from libs.service.keys import generate_key, issue_token, write_jwks
from libs.service.problems import Problem
from services.ledger.tests.support import Ledger, WallClock, ledger_on, prepare
from tests.chaos.commands import STEADY, Callers
from tests.plugins.postgres import Database, DatabaseFrom

pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

HOUR_US = 3_600_000_000
MINUTE_US = 60_000_000


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """An empty ledger's database."""
    return await database_from("ledger", prepare)


async def times_of(ledger: Ledger) -> dict[int, list[int]]:
    """The times of each partition's events in order of the log, microseconds."""
    rows = await ledger.pool.fetch(
        "SELECT partition, (extract(epoch FROM time) * 1000000)::bigint AS at FROM events ORDER BY partition, position"
    )
    found: dict[int, list[int]] = {}
    for row in rows:
        found.setdefault(row["partition"], []).append(row["at"])
    return found


async def never_goes_back(ledger: Ledger) -> None:
    """Time in each partition only grows, and no account's does otherwise."""
    for partition, times in (await times_of(ledger)).items():
        assert times == sorted(times), partition


async def test_time_in_the_log_never_goes_back_while_the_clock_jumps(books: Database) -> None:
    """An hour ahead, an hour back, again and again in the middle of everything; the same writer all the time."""
    callers, chance, clock = Callers(11), random.Random(11), WallClock()  # noqa: S311
    true_us = clock.now_us()
    async with ledger_on(books, clock=clock, times=STEADY) as ledger:
        await ledger.configure()
        writer = await ledger.writer()

        async def jump() -> None:
            while True:
                clock.set(true_us + chance.choice([-HOUR_US, 0, HOUR_US]) + chance.randrange(MINUTE_US))
                await asyncio.sleep(chance.uniform(0, 0.02))

        jumping = asyncio.create_task(jump())
        await callers.run(ledger, 800)
        jumping.cancel()
        await asyncio.gather(jumping, return_exceptions=True)
        await asyncio.sleep(1.2 * STEADY.stale_s)
        assert ledger.leader.writer is writer, "the lease goes by another clock"
        assert ledger.leader.leads()
        await never_goes_back(ledger)
        await callers.check(ledger, books)


@pytest.mark.parametrize("jump_us", [HOUR_US, -HOUR_US])
async def test_a_jump_of_the_clock_moves_no_lease(
    books: Database, monkeypatch: pytest.MonkeyPatch, jump_us: int
) -> None:
    """Neither the writer nor a standby takes a jump of the wall clock for time that has passed."""
    numbers, clock = itertools.count(), WallClock()
    monkeypatch.setattr("services.ledger.writer.leader.process_name", lambda: f"host{next(numbers)}:1:token")
    async with ledger_on(books, clock=clock, times=STEADY) as first:
        await first.configure()
        writer = await first.writer()
        async with ledger_on(books, clock=clock, times=STEADY) as second:
            end = time.monotonic() + 1.2 * STEADY.stale_s
            while time.monotonic() < end:
                clock.set(clock.now_us() + jump_us)
                assert (await first.do("grant", "ann", amount=1)).status == 201
                assert first.leader.writer is writer
                assert second.leader.writer is None
                await asyncio.sleep(0.05)
        await never_goes_back(first)


async def test_what_is_due_goes_by_the_time_of_events(books: Database) -> None:
    """A clock that was an hour ahead: what expired by it stays expired; what it made lasts as long from then on."""
    clock = WallClock()
    true_us = clock.now_us()
    async with ledger_on(books, clock=clock, times=STEADY) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10, expires_at=true_us + 30 * MINUTE_US)
        await ledger.do("grant", "ann", amount=5)
        clock.set(true_us + HOUR_US)
        # The first grant has run out by this clock.
        hold = await ledger.do("hold", "ann", amount=5, ttl_s=1800)
        assert hold.status == 201
        clock.set(true_us)
        assert (await ledger.do("charge", "ann", amount=1)).status == 402, "what has run out does not come back"
        capture = await ledger.do("hold.capture", hold=hold.id, amount=1, final=False)
        assert capture.status < 300
        # By the clock's own time the hold would have ended before it was made.
        clock.set(true_us + HOUR_US + 29 * MINUTE_US)
        assert (await ledger.do("hold.capture", hold=hold.id, amount=1, final=False)).status < 300
        clock.set(true_us + HOUR_US + 31 * MINUTE_US)
        late = await ledger.do("hold.capture", hold=hold.id, amount=1)
        assert (late.status, late.body["code"]) == (409, "hold_resolved"), late
        await never_goes_back(ledger)
        await Callers(0).check(ledger, books)


async def test_a_writer_whose_clock_is_behind_takes_over(books: Database) -> None:
    """The log goes on at the time of its last event until the new writer's clock has come there."""
    ahead = WallClock()
    true_us = ahead.now_us()
    async with ledger_on(books, clock=ahead, times=STEADY) as first:
        await first.configure()
        await first.do("grant", "ann", amount=10)
        hold = await first.do("hold", "ann", amount=4, ttl_s=600)
    behind = WallClock(true_us - HOUR_US)
    callers = Callers(12)
    async with ledger_on(books, clock=behind, times=STEADY) as second:
        done = await second.do("charge", "ann", amount=1)
        assert done.status == 201
        newcomer = await second.do("grant", "zoe", amount=1)
        assert newcomer.status == 201
        await callers.run(second, 100)
        everything = await times_of(second)
        assert min(min(times) for times in everything.values()) >= true_us
        # Its own clock moves on; the log stands until that has passed it.
        behind.set(true_us - MINUTE_US)
        assert (await second.do("hold.extend", hold=hold.id, ttl_s=900)).status == 200
        behind.set(true_us + 901 * 1_000_000)
        late = await second.do("hold.capture", hold=hold.id, amount=1)
        assert (late.status, late.body["code"]) == (409, "hold_resolved"), late
        await never_goes_back(second)
        await callers.check(second, books)


async def test_a_clock_that_went_back_between_two_lives(books: Database) -> None:
    """The same machine starts again an hour earlier: keys are remembered, numbers and times go on."""
    clock = WallClock()
    true_us = clock.now_us()
    async with ledger_on(books, clock=clock, times=STEADY) as ledger:
        await ledger.configure()
        first = await ledger.do("grant", "ann", amount=10, key="k")
    async with ledger_on(books, clock=WallClock(true_us - HOUR_US), times=STEADY) as ledger:
        again = await ledger.do("grant", "ann", amount=10, key="k")
        assert (again.body, again.replayed) == (first.body, True)
        second = await ledger.do("grant", "ann", amount=10)
        # The time in an id is that of the log, not of the clock: ten digits after the kind and the partition.
        time_part = slice(len("grant_02"), len("grant_02") + 10)
        assert second.id[time_part] >= first.id[time_part]
        await never_goes_back(ledger)


@pytest.mark.parametrize(("jump_us", "code"), [(HOUR_US, "token_expired"), (-HOUR_US, "token_invalid")])
def test_tokens_go_by_the_wall_clock_as_it_is(tmp_path: Path, jump_us: int, code: str) -> None:
    """A token is as good as the clock of whoever looks at it says; when that is right again, so is the token."""
    clock = WallClock()
    key = generate_key(tmp_path / "keys", "first")
    write_jwks(tmp_path / "keys", tmp_path / "jwks.json")
    authenticator = Authenticator(tmp_path / "jwks.json", "ledger", clock)
    now = clock.now_us()
    token = issue_token(
        key,
        sub="service",
        audience="ledger",
        app="coins",
        role="service",
        scopes=["ledger:read"],
        ttl_s=600,
        now_s=now // 1_000_000,
    )
    assert authenticator.authenticate(f"Bearer {token}").app == "coins"
    fresh = Authenticator(tmp_path / "jwks.json", "ledger", clock)
    clock.set(now + jump_us)
    with pytest.raises(Problem) as refused:
        fresh.authenticate(f"Bearer {token}")
    assert refused.value.code == code
    clock.set(now)
    assert fresh.authenticate(f"Bearer {token}").app == "coins"
