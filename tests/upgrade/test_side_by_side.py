"""The version before and this one on one database and topic: while one takes over from the other, and back again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest

from deploy.embedded.broker import EmbeddedBroker
from libs.events.bus import Bus, TopicPartition
from libs.events.envelope import Envelope, from_record
from services.ledger.store.setup import SOURCES
from services.ledger.tests.support import PARTITIONS
from services.ledger.verify.run import verify
from tests.plugins.postgres import Database
from tests.reliability import write_figures
from tests.upgrade.earlier import EARLIER, ROOT, Running, Site, earlier_code
from tests.upgrade.load import Load, eventually
from tests.waiting import beside

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(300)]

TOPICS = {"ledger.commands": PARTITIONS, "ledger.events": PARTITIONS}
CALLERS = 4
OWN_TESTS = ("services/ledger/tests/http", "services/ledger/tests/kafka")


@pytest.fixture(scope="module")
def earlier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The code of the version before."""
    return earlier_code(tmp_path_factory.mktemp("earlier"))


@pytest.fixture
async def site(database: Database, tmp_path: Path, earlier: Path) -> AsyncIterator[Site]:
    """An empty database and a broker."""
    broker = EmbeddedBroker(TOPICS)
    yield Site(database, tmp_path, broker.start(), earlier)
    broker.stop()


@asynccontextmanager
async def under_load(site: Site, first: Running) -> AsyncIterator[Load]:
    """Callers that go on through the whole block; nothing that they were told may turn out wrong."""
    load = Load(site, [first])
    await eventually(first.ready, "the first process serves")
    callers: list[asyncio.Task[None]] = []
    try:
        async with httpx.AsyncClient(timeout=20) as client:
            document = {"assets": {"coins": {"scale": 2}}}
            assert (await load.write(client, "PUT /config", document, "config", "admin")).status_code == 200
        callers += [asyncio.create_task(load.caller(number)) for number in range(CALLERS)]
        yield load
        load.stopping = True
        await asyncio.gather(*callers)
    finally:
        for task in callers:
            task.cancel()
        await asyncio.gather(*callers, return_exceptions=True)


async def published(site: Site, wanted: int) -> list[Envelope]:
    """The events of the topic as a consumer of this version takes them: each once, in order, none left out."""
    seen: dict[int, list[Envelope]] = {partition: [] for partition in range(PARTITIONS)}
    async with Bus(site.kafka, TOPICS, timeout_s=5.0) as bus:
        places = [TopicPartition("ledger.events", partition) for partition in range(PARTITIONS)]
        reader = await bus.reader(dict.fromkeys(places, "beginning"))
        try:
            async with asyncio.timeout(60):
                while sum(map(len, seen.values())) < wanted:
                    for place, records in (await reader.fetch()).items():
                        for record in records:
                            message = from_record(record.headers, record.value)
                            if not isinstance(message, Envelope) or (message.seq or 0) <= len(seen[place.partition]):
                                continue
                            assert message.seq == len(seen[place.partition]) + 1, "a gap in the topic"
                            seen[place.partition].append(message)
        finally:
            await reader.close()
    return [event for events in seen.values() for event in events]


async def assert_sound(site: Site, load: Load) -> int:
    """Both versions prove the books, and they are what the callers were told; the number of events."""
    outcome = await verify(site.database.runtime_dsn)
    assert outcome.violations == []
    command = "from libs.service.cli import main; main()"
    done = await asyncio.to_thread(site.run, site.earlier, "-c", command, "ledger", "verify", "--jobs", "1")
    assert done.returncode == 0, done.stdout + done.stderr
    connection = await asyncpg.connect(site.database.runtime_dsn)
    try:
        for user, amount in load.balances.items():
            settled = await connection.fetchval("SELECT settled FROM accounts WHERE user_id = $1", user)
            assert settled == amount * 100, user
        keys = await connection.fetch(
            "SELECT idempotency_key, count(*) AS times FROM events WHERE object IS NOT NULL AND idempotency_key <> ''"
            " GROUP BY idempotency_key"
        )
        times = {row["idempotency_key"]: row["times"] for row in keys}
        assert {key: times.get(key) for key in load.answered} == dict.fromkeys(load.answered, 1)
    finally:
        await connection.close()
    return outcome.events


async def hand_over(load: Load, to: Running, since: list[float], number: signal.Signals) -> None:
    """Another process stands by, then the one that writes ends; how long the next answers took is added to `since`."""
    old = load.processes[-1]
    load.processes.append(to)
    await eventually(to.ready, "the other version stands by")
    # Either process takes requests for the other.
    await load.more(20)
    load.processes.remove(old)
    await asyncio.to_thread(old.stop, number)
    ended = time.monotonic()
    # One more than could have been on their way before.
    await load.more(CALLERS + 1)
    since.append(time.monotonic() - ended)
    await load.more(30)


async def keep_relays(site: Site, stack: contextlib.AsyncExitStack, relays: dict[Path, Running]) -> None:
    """Start again whichever the other has replaced, as what runs them does: each may be the later on some partition."""
    while True:
        for code, relay in relays.items():
            if relay.process.poll() is not None:
                relays[code] = stack.enter_context(site.process(code, "relay"))
        await asyncio.sleep(0.2)


async def back_and_forth(site: Site, ends: Sequence[signal.Signals]) -> tuple[Load, int, list[float]]:
    """From the version before to this one, back, and so on, by these ends; the load, the events, seconds of each."""
    old, new = site.earlier, ROOT
    since: list[float] = []
    site.migrate(old)
    async with contextlib.AsyncExitStack() as stack:
        first = stack.enter_context(site.process(old, "serve"))
        relays = {old: stack.enter_context(site.process(old, "relay"))}
        async with beside(keep_relays(site, stack, relays)):
            async with under_load(site, first) as load:
                await load.more(20)
                # The schema grows while the old version works on it.
                assert "ledger/0004" in await asyncio.to_thread(site.migrate, new)
                await load.more(20)
                relays[new] = stack.enter_context(site.process(new, "relay"))
                for number, how in enumerate(ends):
                    code = old if number % 2 else new
                    await hand_over(load, stack.enter_context(site.process(code, "serve")), since, how)
            total = await assert_sound(site, load)
            events = await published(site, total)
    assert len({event.id for event in events}) == len(events) == total
    assert len({event.stream for event in events}) == 1, "one incarnation through all versions"
    return load, total, since


async def test_taken_over_and_taken_back_under_load(site: Site) -> None:
    """C11, C15, I6, I8, I10: expand, the new version, and the old one again, with nobody left without an answer."""
    load, _, _ = await back_and_forth(site, [signal.SIGTERM, signal.SIGTERM])
    assert load.statuses[201] > 100


@pytest.mark.campaign
@pytest.mark.timeout(1800)
async def test_taken_over_many_times(site: Site) -> None:
    began = time.monotonic()
    ends = [signal.SIGTERM, signal.SIGKILL, signal.SIGKILL, signal.SIGTERM]
    load, events, since = await back_and_forth(site, ends)
    figures = {
        "earlier": EARLIER,
        "hand_overs": len(ends),
        "killed": ends.count(signal.SIGKILL),
        "answered_writes": len(load.answered),
        "events": events,
        "violations": 0,
        "seconds_to_the_next_answers": sorted(round(each, 2) for each in since),
    }
    write_figures("upgrade", figures, began)


READ_ALL = """
import json, sys
from pathlib import Path
import libs.events.contracts.ledger
from libs.events.contracts.base import decode, model_of
read = 0
for file in sorted(Path(sys.argv[1]).glob("*.json")):
    name = file.stem.partition("+")[0]
    model = model_of(name)
    if model is None or model.KIND != "event":
        continue
    sample = json.loads(file.read_text())
    for more in ({}, {"told_by_a_later_version": {"a": [1, None]}}):
        assert decode(name, json.dumps({**sample, **more}).encode()) is not None, file.stem
    read += 1
print(read)
"""


async def test_an_older_reader_takes_what_this_version_says_and_what_the_next_may_add(site: Site) -> None:
    corpus = ROOT / "libs" / "events" / "corpus"
    done = site.run(site.earlier, "-c", READ_ALL, str(corpus))
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


async def test_migrations_of_the_version_before_on_the_grown_schema(site: Site) -> None:
    """A start of the old version after the expand changes nothing and does not fail."""
    assert "ledger/0001" in site.migrate(site.earlier)
    assert "ledger/0004" in site.migrate(ROOT)
    assert site.migrate(site.earlier) == ""
    assert site.migrate(ROOT) == ""


@pytest.mark.campaign
@pytest.mark.timeout(1800)
async def test_the_older_versions_own_tests_on_the_grown_schema(earlier: Path, tmp_path: Path) -> None:
    """C15: the old code, tested by its own tests, on a database that has every migration of today."""
    code = earlier_code(tmp_path / "code")
    added = 0
    for _, files in SOURCES:
        place = code / files.relative_to(ROOT)
        for file in sorted(files.glob("*.sql")):
            if not (place / file.name).exists():
                shutil.copy(file, place / file.name)
                added += 1
    assert added, "there are migrations since"
    began = time.monotonic()
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *OWN_TESTS],
        cwd=code,
        env={**os.environ, "PYTHONPATH": os.pathsep.join((str(code), str(code / "libs" / "client")))},
        capture_output=True,
        text=True,
        check=False,
    )
    last = done.stdout.strip().splitlines()[-1]
    assert done.returncode == 0, done.stdout[-5000:]
    write_figures("upgrade-own-tests", {"earlier": EARLIER, "migrations_added": added, "result": last}, began)
