"""The verifier finds nothing where nothing is wrong: a false alarm would stop a business."""

from __future__ import annotations

import asyncio
import os
import random
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from services.ledger.rebuild import rebuild
from services.ledger.store.violations import recorded
from services.ledger.tests.support import Ledger, WallClock, ledger_on, prepare
from services.ledger.tests.truth.scenario import DOCUMENT, everything
from services.ledger.tests.verifier.support import counted, verifying
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database, DatabaseFrom
from tests.reliability import write_figures

pytestmark = pytest.mark.anyio

TEST_APP = "trial"
"""An app with a clock of its own."""


async def test_it_agrees_with_a_log_of_every_type_of_event(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    async with verifying(books, tmp_path) as verifier:
        await everything(ledger)
        await verifier.catches_up()
        await verifier.patrols()
        assert await verifier.details() == []


async def test_it_agrees_with_a_log_that_is_older_than_itself(ledger: Ledger, books: Database, tmp_path: Path) -> None:
    await everything(ledger)
    async with verifying(books, tmp_path, events_max=7, accounts_max=1) as verifier:
        await verifier.catches_up()
        await verifier.patrols()
        assert await verifier.details() == []


class Load:
    """Random commands on one ledger after another, of two apps, until told to stop."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)  # noqa: S311 (a run that can be repeated)
        self.stop = asyncio.Event()
        self.ledger: Ledger | None = None
        self.done = 0
        self.test_time = 0
        self.made: dict[str, list[tuple[str, str]]] = {"grant": [], "charge": [], "hold": [], "transfer": []}

    def _made(self, kind: str, app: str) -> str:
        ids = [name for owner, name in self.made[kind][-30:] if owner == app]
        return self.chance.choice(ids) if ids else f"{kind}_none"

    def _any(self, app: str, now: int) -> tuple[str, dict[str, Any]]:
        chance = self.chance
        amount = chance.randrange(1, 400)
        soon, later = (now + chance.randrange(1, 90) * 1_000_000 for _ in range(2))
        grant, charge, hold = (self._made(kind, app) for kind in ("grant", "charge", "hold"))
        users = [f"user-{n}" for n in range(12)]
        choices: list[tuple[str, dict[str, Any]]] = [
            ("grant", {"amount": amount * 3, "expires_at": chance.choice([None, later])}),
            ("grant", {"amount": amount, "effective_at": soon, "source": "paid", "scope": ("voice",)}),
            ("charge", {"amount": amount, "text": '{"description":"something"}'}),
            ("charge", {"amount": amount // 4 + 1, "service": "voice", "member": "team"}),
            ("charge.refund", {"charge": charge}),
            ("charge.refund", {"charge": charge, "amount": 5}),
            ("hold", {"amount": amount // 2 + 1, "ttl_s": chance.randrange(1, 100)}),
            ("hold", {"amount": amount // 3 + 1, "grant": grant}),
            ("hold.extend", {"hold": hold, "ttl_s": 100}),
            ("hold.capture", {"hold": hold, "amount": amount // 4 + 1, "final": chance.random() < 0.5}),
            ("hold.release", {"hold": hold}),
            ("grant.revoke", {"grant": grant, "policy": chance.choice(["debt", "absorb"])}),
            ("adjustment", {"amount": chance.choice([-amount, amount])}),
            ("action", {"action": "start"}),
            ("account.change", {"overdraft_limit": amount}),
            ("account.freeze", {"name": "manual"}),
            ("account.unfreeze", {"name": "manual"}),
            ("account.erase", {}),
            ("transfer", {"to_user": chance.choice(users), "amount": amount // 2 + 1}),
            ("transfer", {"to_user": chance.choice(users), "amount": amount // 2 + 1}),
            ("sweep", {"key": ""}),
            ("charge", {"amount": 10**9, "door": "kafka"}),
        ]
        return chance.choice(choices)

    async def work(self) -> None:
        """One caller."""
        while not self.stop.is_set():
            ledger = self.ledger
            if ledger is None:
                await asyncio.sleep(0.01)
                continue
            app = self.chance.choice(["coins", "coins", TEST_APP])
            now = self.test_time if app == TEST_APP else ledger.clock.now_us()
            name, fields = self._any(app, now)
            user = f"user-{self.chance.randrange(12)}"
            try:
                done = await ledger.do(name, user, app=app, **fields)
                if done.status < 300 and name in self.made:
                    self.made[name].append((app, done.id))
                if name == "transfer" and done.status < 300 and self.chance.random() < 0.8:
                    await ledger.arrive(done.id)
            except (AssertionError, OSError):
                # Its ledger has ended.
                continue
            self.done += 1
            if self.chance.random() < 0.05:
                ledger.clock.advance(self.chance.randrange(1, 20))
                self.test_time += self.chance.randrange(1, 40) * 1_000_000
                ledger.app_times[TEST_APP] = self.test_time


async def _lead_in_turn(books: Database, load: Load, seconds: float) -> int:
    """Ledgers one after another, each taking over while the one before still believes in itself; how many."""
    clock = WallClock()
    load.test_time = clock.now_us()
    until, turns = monotonic() + seconds, 0
    async with AsyncExitStack() as stack:
        while monotonic() < until:
            turn = await stack.enter_async_context(AsyncExitStack())
            ledger = await turn.enter_async_context(ledger_on(books, clock=clock))
            ledger.app_times[TEST_APP] = load.test_time
            await ledger.writer()
            if not turns:
                await ledger.configure(**DOCUMENT)
                await ledger.configure(TEST_APP, **DOCUMENT, test_mode={"clock_start": "2026-01-01T00:00:00Z"})
            load.ledger = ledger
            turns += 1
            await asyncio.sleep(load.chance.uniform(0.5, 2.0))
            if load.chance.random() < 0.5:
                await ledger.pool.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'ledger-writer'"
                )
                await asyncio.sleep(load.chance.uniform(0.1, 1.0))
            load.ledger = None
            await turn.aclose()
    return turns


async def _trial(books: Database, tmp_path: Path, seed: int, seconds: float) -> tuple[int, int]:
    load = Load(seed)
    before = counted()
    async with AsyncExitStack() as stack:
        one = await stack.enter_async_context(verifying(books, tmp_path, name="one"))
        workers = [asyncio.create_task(load.work()) for _ in range(12)]
        leading = asyncio.create_task(_lead_in_turn(books, load, seconds))
        while not leading.done():
            # Another comes and goes, in the middle of whatever it does, and goes on from its file.
            async with verifying(books, tmp_path, name="two", events_max=150, accounts_max=8):
                await asyncio.wait([leading], timeout=load.chance.uniform(0.2, 2.0))
            if load.chance.random() < 0.3:
                await rebuild(books.owner_dsn, swap=True)
        turns = leading.result()
        load.stop.set()
        await asyncio.gather(*workers)
        await one.catches_up()
        await one.patrols()
        assert await one.details() == []
        assert counted() == before
        assert [str(v) for v in (await verify(books.runtime_dsn)).violations] == []
        assert await recorded(one.pool, cleared=True) == []
    return load.done, turns


@pytest.mark.campaign
@pytest.mark.timeout(3600)
async def test_no_alarm_in_many_trials(database_from: DatabaseFrom, tmp_path: Path) -> None:
    """As the next, with `TRIALS` seeds of `TRIAL_S` seconds each (environment); prints and keeps the counts."""
    trials, seconds = int(os.environ.get("TRIALS", "6")), float(os.environ.get("TRIAL_S", "15"))
    began, commands, turns = monotonic(), 0, 0
    for seed in range(100, 100 + trials):
        books = await database_from("ledger", prepare)
        (tmp_path / str(seed)).mkdir()
        done = await _trial(books, tmp_path / str(seed), seed, seconds)
        commands, turns = commands + done[0], turns + done[1]
    figures = {"trials": trials, "first_seed": 100, "commands": commands, "take_overs": turns, "false_alarms": 0}
    write_figures("verifier", figures, began)


@pytest.mark.timeout(180)
async def test_no_alarm_under_load_with_take_overs_rebuilds_and_restarts(books: Database, tmp_path: Path) -> None:
    """Random commands of an app and of one in test mode; two verifiers, one of which comes and goes."""
    commands, turns = await _trial(books, tmp_path, seed=1, seconds=8.0)
    assert commands > 200
    assert turns >= 2
