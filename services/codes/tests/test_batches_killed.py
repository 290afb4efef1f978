"""Batches under kills and by the million: no code twice, none missing."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import random
import resource
import signal
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from services.codes.tests.office import Office, office, prepare_codes, settings_of
from tests.plugins.postgres import Database, DatabaseFrom
from tests.waiting import eventually

pytestmark = pytest.mark.anyio

TERMS = {"kind": "recharge", "amount": "25"}
MAKER = """
import asyncio, sys
from pathlib import Path
from libs.service.clock import LateClocks, SystemClock
from services.codes.jobs import making
from services.codes.running import core_of
from services.codes.settings import CodesSettings

async def main():
    settings = CodesSettings(dsn=sys.argv[1], data=Path(sys.argv[2]), partitions=4, env="test", batch_chunk=50)
    async with core_of(settings, SystemClock(), LateClocks(), "codes-maker") as core, making(core):
        await asyncio.Event().wait()

asyncio.run(main())
"""


async def made_so_far(manager: Office, batch_id: str) -> int:
    """How many codes of a batch there are by its own account."""
    made: int = (await manager.get(f"/batches/{batch_id}"))["made"]
    return made


async def whole(manager: Office, batch_id: str, count: int) -> None:
    """The batch has exactly its codes, and exports each of them once."""
    counted = await manager.core.pool.fetchrow(
        "SELECT count(*) AS codes, count(DISTINCT digest) AS texts, count(DISTINCT batch_index) AS indexes FROM codes"
    )
    assert counted is not None
    assert tuple(counted) == (count, count, count)
    answer = await manager.send("GET", f"/batches/{batch_id}/export?format=csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len({row["code"] for row in rows}) == len(rows) == count


async def killed_now_and_then(database: Database, directory: Path, manager: Office, batch_id: str, kills: int) -> None:
    """Let workers make the batch, each but the last one killed a little later than the one before."""
    arguments = (sys.executable, "-c", MAKER, database.runtime_dsn, str(directory))
    for number in range(kills + 1):
        before = await made_so_far(manager, batch_id)
        worker = await asyncio.create_subprocess_exec(*arguments, env={**os.environ, "PYTHONPATH": str(Path.cwd())})
        try:
            if number == kills:
                await eventually(partial(is_ready, manager, batch_id), "the rest of the batch")
            else:
                await eventually(partial(has_more, manager, batch_id, before), "another chunk")
                await asyncio.sleep(random.uniform(0, 0.05))  # noqa: S311 - any moment will do
        finally:
            worker.send_signal(signal.SIGKILL)
            await worker.wait()


async def is_ready(manager: Office, batch_id: str) -> bool:
    """Whether the batch is made."""
    return bool((await manager.get(f"/batches/{batch_id}"))["status"] == "ready")


async def has_more(manager: Office, batch_id: str, before: int) -> bool:
    """Whether the batch has come further, or is made."""
    return await made_so_far(manager, batch_id) > before or await is_ready(manager, batch_id)


@pytest.mark.parametrize("kills", [3, pytest.param(40, marks=pytest.mark.campaign)])
@pytest.mark.timeout(900)
async def test_a_batch_whose_makers_are_killed_is_whole(
    database_from: DatabaseFrom, tmp_path: Path, kills: int
) -> None:
    count = 1000 * kills
    database = await database_from("codes", prepare_codes)
    settings_of(database, tmp_path)
    async with office(database, tmp_path) as manager:
        batch = await manager.post("/batches", {**TERMS, "count": count})
        await killed_now_and_then(database, tmp_path, manager, batch["id"], kills)
        await whole(manager, batch["id"], count)


@pytest.mark.parametrize("count", [5_000, pytest.param(1_000_000, marks=pytest.mark.campaign)])
@pytest.mark.timeout(1800)
async def test_a_batch_of_many_codes_is_made_and_exported(
    database_from: DatabaseFrom, tmp_path: Path, count: int, record_property: Callable[[str, object], None]
) -> None:
    async with office(await database_from("codes", prepare_codes), tmp_path) as manager:
        batch = await manager.post("/batches", {**TERMS, "count": count, "length": 8})
        began = time.monotonic()
        await manager.work()
        made_s = time.monotonic() - began
        began = time.monotonic()
        await whole(manager, batch["id"], count)
        record_property("made_s", made_s)
        record_property("exported_s", time.monotonic() - began)
        record_property("peak_mb", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
        print(f"{count} codes: made in {made_s:.1f} s, exported and counted in {time.monotonic() - began:.1f} s")
