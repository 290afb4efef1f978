"""The link to PostgreSQL fails between an append and its answer: C1, C2, C3, and half-open links.

Whatever happens on the way, every command has one outcome, it is told again to whoever repeats the command, and the
writer finds out by itself.
"""

from __future__ import annotations

import asyncio
import itertools
import random
import time
from collections import Counter
from typing import Any

import pytest

from libs.service.problems import Problem
from services.ledger.tests.support import Ledger, ledger_on, prepare
from tests.chaos.commands import STEADY, Callers, Failures
from tests.chaos.wire import LOST_REPLIES, SILENT, Cut, WireProxy
from tests.plugins.postgres import Database, DatabaseFrom
from tests.reliability import spread, write_part
from tests.waiting import eventually

# The driver loses a connection whose making is cancelled; only the collector closes it.
pytestmark = [pytest.mark.anyio, pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")]

CUT_SHARE = 0.2


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    """An empty ledger's database."""
    return await database_from("ledger", prepare)


def wire_to(books: Database) -> WireProxy:
    """A proxy before the server of these books."""
    return WireProxy(books.admin.host, books.admin.port)


async def cut_again_and_again(books: Database, seed: int, commands: int, kinds: list[Cut]) -> dict[str, Any]:
    """Random commands while a fifth of all appends is cut, each kind in its turn; the figures of it."""
    chance = random.Random(seed)  # noqa: S311
    turns = itertools.cycle(chance.sample(kinds, len(kinds)))
    moments: dict[Cut, list[float]] = {kind: [] for kind in kinds}
    callers, failures, began = Callers(seed), Failures(), time.monotonic()
    async with wire_to(books) as proxy, ledger_on(proxy.before(books)) as ledger:
        proxy.slow_s = 0.3
        proxy.on_cut = lambda cut: moments[cut].append(time.monotonic())
        await ledger.configure()
        proxy.choose = lambda: next(turns) if chance.random() < CUT_SHARE else None
        await callers.run(ledger, commands)
        proxy.choose = lambda: None
        checked = await callers.check(ledger, books)
    return {
        "seed": seed,
        "commands": checked,
        "appends": proxy.appends,
        "cuts": {kind.name.lower(): count for kind, count in proxy.cuts.items()},
        "ambiguous": failures.since()["ambiguous"],
        "committed_reply_lost": sum(proxy.cuts[kind] for kind in LOST_REPLIES),
        "moments": {kind: callers.recoveries(times) for kind, times in moments.items()},
        "duration_s": round(time.monotonic() - began, 1),
    }


async def test_every_command_has_one_outcome_wherever_an_append_is_cut(books: Database) -> None:
    """C1, C2, C3, C5: the batch is decided again or found committed, and whoever repeats a command is told the same."""
    kinds = [kind for kind in Cut if kind not in SILENT]
    found = await cut_again_and_again(books, 1, 900, kinds)
    assert set(found["cuts"]) == {kind.name.lower() for kind in kinds}, "too few appends to try everything"
    assert found["ambiguous"] >= found["committed_reply_lost"] > 0


@pytest.mark.parametrize("kind", sorted(SILENT))
async def test_an_append_on_a_half_open_link_is_found_out(books: Database, kind: Cut) -> None:
    """The server works on nothing while the writer waits: the lease goes on, and the append's link is given up."""
    failures = Failures()
    async with wire_to(books) as proxy, ledger_on(proxy.before(books), times=STEADY) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10)
        writer = await ledger.writer()
        cuts = iter([kind])
        proxy.choose = lambda: next(cuts, None)
        async with asyncio.timeout(30):
            done = await ledger.do("charge", "ann", amount=1, key="k")
        assert done.status == 201
        assert not done.replayed, "who waited was told, without asking again"
        assert proxy.cuts == Counter({kind: 1})
        assert failures.since()["ambiguous"] == 1
        assert await ledger.writer() is writer, "the lease was held all the time"
        again = await ledger.do("charge", "ann", amount=1, key="k")
        assert (again.body, again.replayed) == (done.body, True)
        assert await charges(ledger) == 1


async def charges(ledger: Ledger) -> int:
    """How many charges are in the log."""
    return int(await ledger.pool.fetchval("SELECT count(*) FROM events WHERE type = 'ledger.credits_charged.v1'"))


async def test_an_append_that_is_merely_slow_is_waited_for(books: Database) -> None:
    """There is no time-out on an append: as long as the server works on it, nobody gives it up."""
    failures = Failures()
    async with ledger_on(books, times=STEADY) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10)
        async with ledger.pool.acquire() as connection, connection.transaction():
            # Somebody holds the heads, as a rebuild that swaps would.
            await connection.execute("SELECT 1 FROM heads FOR UPDATE")
            charging = asyncio.create_task(ledger.do("charge", "ann", amount=1))
            await asyncio.wait({charging}, timeout=3)
            assert not charging.done()
        assert (await charging).status == 201
    assert failures.since()["ambiguous"] == 0


async def test_a_writer_cut_off_from_its_database_answers_nothing_and_comes_back(books: Database) -> None:
    """Everything is half open: the lease runs out, nobody is answered, and after it heals the process goes on."""
    async with wire_to(books) as proxy, ledger_on(proxy.before(books), times=STEADY) as ledger:
        await ledger.configure()
        await ledger.do("grant", "ann", amount=10)
        writer = await ledger.writer()
        proxy.silence()
        silent_at = time.monotonic()
        request = ledger.request("charge", "ann", amount=1, key="k")
        answer = writer.submit(request)

        async def stood_down() -> bool:
            return not ledger.leader.leads()

        await eventually(stood_down, "the lease runs out")
        assert time.monotonic() - silent_at < STEADY.answer_s + 15
        assert not answer.done() or isinstance(answer.exception(), Problem)
        proxy.heal()
        done = await ledger.do("charge", "ann", amount=1, key="k")
        assert done.status == 201
        assert await charges(ledger) == 1
        if not answer.done():
            await asyncio.wait({answer}, timeout=30)
        assert isinstance(answer.exception(), Problem), "who waited was told that nobody knows"


async def test_another_takes_over_from_a_writer_that_is_cut_off(
    books: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """C11 by a link: the first answers nothing once its lease has run out, and is fenced when it comes back."""
    numbers = itertools.count()
    monkeypatch.setattr("services.ledger.writer.leader.process_name", lambda: f"host{next(numbers)}:1:token")
    async with wire_to(books) as proxy, ledger_on(proxy.before(books), times=STEADY) as first:
        await first.configure()
        await first.do("grant", "ann", amount=10)
        async with ledger_on(books, times=STEADY) as second:
            old = await first.writer()
            proxy.silence()
            waiting = [old.submit(first.request("charge", "ann", amount=1, key=f"k{n}")) for n in range(3)]

            async def taken_over() -> bool:
                assert not (second.leader.leads() and first.leader.leads()), "two may answer"
                return second.leader.writer is not None

            await eventually(taken_over, "the standby takes over")
            done = await second.do("charge", "ann", amount=1, key="k0")
            assert (done.status, done.body["settled"]) == (201, "9")
            proxy.heal()
            await asyncio.wait(waiting, timeout=30)
            assert all(isinstance(answer.exception(), Problem) for answer in waiting)
            assert await charges(second) == 1
            assert not first.leader.leads()
            assert (await second.do("charge", "ann", amount=1, key="k1")).status == 201


async def test_a_slow_link_is_slow_and_nothing_else(books: Database) -> None:
    """Latency and little bandwidth: everything is answered, no lease is lost, no append given up."""
    failures, callers = Failures(), Callers(3)
    async with wire_to(books) as proxy, ledger_on(proxy.before(books)) as ledger:
        await ledger.configure()
        writer = await ledger.writer()
        proxy.latency_s, proxy.bytes_per_s = 0.01, 1_000_000
        await callers.run(ledger, 100)
        assert await ledger.writer() is writer
        proxy.heal()
        await callers.check(ledger, books)
    assert failures.since() == Counter()


async def test_connections_that_are_refused_and_reset_delay_and_nothing_else(books: Database) -> None:
    """The database is away for moments: new connections are refused, open ones reset."""
    callers, chance = Callers(4), random.Random(4)  # noqa: S311
    async with wire_to(books) as proxy, ledger_on(proxy.before(books)) as ledger:
        await ledger.configure()

        async def away() -> None:
            while True:
                await asyncio.sleep(chance.uniform(0.05, 0.3))
                proxy.refusing = True
                proxy.reset()
                await asyncio.sleep(chance.uniform(0.02, 0.2))
                proxy.heal()

        going = asyncio.create_task(away())
        await callers.run(ledger, 600)
        going.cancel()
        await asyncio.gather(going, return_exceptions=True)
        proxy.heal()
        await callers.check(ledger, books)


@pytest.mark.campaign
@pytest.mark.timeout(1800)
async def test_campaign(database_from: DatabaseFrom) -> None:
    """All kinds of cuts, half-open ones too, on a ledger of its own for each seed."""
    rounds = []
    for seed in range(1, 13):
        books = await database_from("ledger", prepare)
        # The half-open ones take seconds each.
        kinds = [*(kind for kind in Cut if kind not in SILENT)] * 6 + list(SILENT)
        rounds.append(await cut_again_and_again(books, seed, 1500, kinds))
    moments: dict[str, list[float]] = {}
    for one in rounds:
        for kind, times in one["moments"].items():
            moments.setdefault(kind.name.lower(), []).extend(times)
    cuts: Counter[str] = Counter()
    for one in rounds:
        cuts.update(one["cuts"])
    write_part(
        "network",
        "postgres_wire",
        {
            "seeds": [one["seed"] for one in rounds],
            "commands": sum(one["commands"] for one in rounds),
            "appends": sum(one["appends"] for one in rounds),
            "cuts": dict(sorted(cuts.items())),
            "cuts_total": cuts.total(),
            "ambiguous": sum(one["ambiguous"] for one in rounds),
            "committed_reply_lost": sum(one["committed_reply_lost"] for one in rounds),
            "violations": 0,
            "recovery": {kind: spread(times) for kind, times in sorted(moments.items())},
            "duration_s": round(sum(one["duration_s"] for one in rounds), 1),
        },
    )
