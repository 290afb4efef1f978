"""The whole process beside a verifier: what callers see when writes stop, and that time goes forward only."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from libs.service.clock import format_time, from_datetime
from services.ledger import jobs
from services.ledger.store.violations import Found, record
from services.ledger.tests.http.client import DOCUMENT, prepare_ledger, running
from services.ledger.tests.verifier.test_halting import resume
from tests.plugins.postgres import Database, DatabaseFrom
from tests.waiting import eventually

pytestmark = pytest.mark.anyio
TRIAL: dict[str, Any] = {**DOCUMENT, "test_mode": {"clock_start": "2026-01-01T00:00:00Z"}}


@pytest.fixture
async def served_books(database_from: DatabaseFrom) -> Database:
    """An empty ledger's database."""
    return await database_from("ledger-http", prepare_ledger)


async def test_reads_go_on_while_writes_are_stopped(served_books: Database, tmp_path: Path) -> None:
    """Every write is answered 503 `read_only` with invariant and place, even a repeat; nothing else changes."""
    async with running(served_books, tmp_path) as api:
        await api.as_("admin").put("/config", DOCUMENT)
        granted = await api.grant("ann", "5")
        core = api.app.state.core
        await record(core.pool, [Found("I4", granted["partition"], 7, "a test")], "a test")

        async def refused() -> bool:
            answer = await api.send("POST", "/grants", {"user": "ann", "amount": "1"})
            return answer.status_code == 503 and answer.json()["code"] == "read_only"

        await eventually(refused)
        answer = await api.send("POST", "/charges", {"user": "ann", "amount": "1"})
        place = f"invariant I4 is violated at position 7 of partition {granted['partition']}"
        assert place in answer.json()["detail"]
        assert answer.headers["retry-after"]
        assert (await api.send("POST", "/accounts/ann/freeze", {})).status_code in (403, 503)
        assert (await api.as_("admin").send("PUT", "/config", DOCUMENT)).json()["code"] == "read_only"
        before = (await api.state("ann"))["settled"]
        assert (await api.as_("system").send("GET", "/feed?topic=ledger.events&partition=0&after=0")).status_code == 200
        assert (await api.http.get("/readyz")).status_code == 200
        await resume(served_books)

        async def answered() -> bool:
            return (await api.send("POST", "/grants", {"user": "ann", "amount": "1"})).status_code == 201

        await eventually(answered)
        assert float((await api.state("ann"))["settled"]) == float(before) + 1


async def test_a_new_writer_hears_of_the_clock_before_it_writes(
    served_books: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I9: another process put the clock forward and wrote; whoever takes over from it must not write earlier times."""
    monkeypatch.setattr(jobs, "REFRESH_S", 3600.0)
    async with running(served_books, tmp_path) as api:
        await api.as_("admin").put("/config", TRIAL)
        await api.grant("ann", "5")
        core = api.app.state.core
        writer = core.leader.writer
        await core.pool.execute("INSERT INTO test_clocks (app, now) VALUES ('coins', '2026-03-01T00:00:00Z')")
        await core.pool.execute("UPDATE shards SET holder = ''")

        async def leads_again() -> bool:
            return core.leader.writer not in (None, writer)

        await eventually(leads_again)
        await api.grant("ben", "1")
        time = await core.pool.fetchval("SELECT min(time) FROM events WHERE user_id = 'ben'")
        assert format_time(from_datetime(time)) == "2026-03-01T00:00:00Z"


async def test_the_clock_of_an_app_cannot_be_made_to_start_earlier(served_books: Database, tmp_path: Path) -> None:
    """I9: a configuration that would put the app's time back is refused."""
    async with running(served_books, tmp_path) as api:
        admin = api.as_("admin")
        await admin.put("/config", TRIAL)
        await api.grant("ann", "5")
        earlier = {**DOCUMENT, "test_mode": {"clock_start": "2025-01-01T00:00:00Z"}}
        assert (await admin.put("/config", earlier, status=409))["code"] == "config_conflict"
        later = {**DOCUMENT, "test_mode": {"clock_start": "2026-02-01T00:00:00Z"}}
        await admin.put("/config", later)
