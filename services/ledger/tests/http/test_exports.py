"""Files of any length: at constant memory, and without a transaction that outlives its reader."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from resource import getpagesize

import pytest

from services.ledger.tests.http.client import Api, opened, prepare_ledger
from tests.plugins.postgres import Database, DatabaseFrom
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]
AT_ONCE = 500
GROWTH_MB_MAX = 40
"""Of the process while it writes a file; pieces, pages and sockets' buffers, however long the file is."""
BUSY = """
SELECT count(*) FROM pg_stat_activity
WHERE datname = current_database() AND application_name = 'ledger-reads'
  AND (state <> 'idle' OR xact_start IS NOT NULL)
"""


@pytest.fixture
async def books(database_from: DatabaseFrom) -> Database:
    return await database_from("ledger-exports", prepare_ledger)


@pytest.fixture
async def api(books: Database, tmp_path: Path) -> AsyncIterator[Api]:
    async with opened(books, tmp_path, lease_answer_s=60, lease_stale_s=120) as made:
        yield made


async def fill(api: Api, users: int, charges: int) -> None:
    """So many accounts, the first of which is charged so often."""
    work = [{"type": "grant", "user": f"user-{number:06d}", "amount": "100000"} for number in range(users)]
    work += [{"type": "charge", "user": "user-000000", "amount": "0.01"}] * charges
    for first in range(0, len(work), AT_ONCE):
        commands = [
            {**each, "key": f"fill-{first + number}"} for number, each in enumerate(work[first : first + AT_ONCE])
        ]
        # A token lasts for minutes only.
        answer = await api.as_(api.role).post("/batch", {"commands": commands}, status=200)
        assert {result["status"] for result in answer["results"]} == {201}


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * getpagesize() / 2**20


async def exported(api: Api, path: str, kind: str) -> tuple[int, float]:
    """(lines of the file, how much this process grew while it was read)."""
    headers = {"Authorization": f"Bearer {api.as_(api.role).token}"}
    rows, most = 0, 0.0
    before = resident_mb()
    params = {"format": kind, "all": "true"} if path.endswith("lots") else {"format": kind}
    async with api.http.stream("GET", f"/v1{path}", headers=headers, params=params, timeout=None) as answer:
        assert answer.status_code == 200
        async for piece in answer.aiter_raw():
            rows += piece.count(b"\n")
            most = max(most, resident_mb() - before)
    return rows, most


async def check_files(api: Api, users: int, charges: int) -> None:
    await fill(api, users, charges)
    files = {
        "/accounts": users,
        "/accounts/user-000000/transactions": charges + 2,
        "/accounts/user-000000/lots": 1,
    }
    for path, expected in files.items():
        for kind, head in (("csv", 1), ("jsonl", 0)):
            rows, grown = await exported(api, path, kind)
            assert rows == expected + head, path
            assert grown < GROWTH_MB_MAX, path
    rows, grown = await exported(api.as_("admin"), "/events", "jsonl")
    assert rows == 2 * users + charges + 1
    assert grown < GROWTH_MB_MAX


async def test_files_are_whole(api: Api) -> None:
    await check_files(api, 700, 1200)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
async def test_long_files_take_no_more_memory(api: Api) -> None:
    await check_files(api, 200_000, 200_000)


@pytest.mark.parametrize("path", ["/accounts", "/accounts/user-000000/transactions", "/events"])
async def test_a_reader_who_leaves_leaves_nothing_open(api: Api, books: Database, path: str) -> None:
    await fill(api, 600, 600)
    admin = api.as_("admin")
    headers = {"Authorization": f"Bearer {admin.token}"}
    async with api.http.stream("GET", f"/v1{path}", headers=headers, params={"format": "csv"}) as answer:
        await anext(answer.aiter_raw())
    pool, reads = api.app.state.core.pool, api.app.state.core.reads

    async def nothing_open() -> bool:
        busy: int = await pool.fetchval(BUSY)
        idle: bool = reads.get_idle_size() == reads.get_size()
        return busy == 0 and idle

    await eventually(nothing_open)
