"""The end of a month for many accounts, and the ledger's process dies in the middle of it, again and again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx
import pytest

from services.ledger.verify.run import verify
from tests.chaos.cluster import APP, Cluster
from tests.chaos.points import KILLED
from tests.waiting import eventually

pytestmark = [pytest.mark.anyio, pytest.mark.timeout(900)]

USERS = 20_000
AT_ONCE = 1000
CONFIG: dict[str, Any] = {
    "assets": {"coins": {"scale": 0}},
    "allowances": {"free": {"limit": "100", "default": True}},
    "test_mode": {"clock_start": "2026-01-10T00:00:00Z"},
}
POINTS = (
    "decide.command=kill@700",
    "append.sending=kill@9",
    "append.sent=kill@17",
    "append.committed=kill@25",
    "append.unmerged=kill@5",
    "append.unanswered=kill@33",
)
RESET = "FROM events WHERE type = 'ledger.allowance_reset.v1'"
TOLD = "FROM events WHERE type = 'ledger.reset_completed.v1'"
DEADLINE_S = 400.0


async def _ask(cluster: Cluster, url: str, method: str, path: str, body: dict[str, Any]) -> None:
    role = "service" if path == "/v1/batch" else "admin"
    headers = {"Authorization": f"Bearer {cluster.token(role)}", "Idempotency-Key": path}
    async with httpx.AsyncClient(base_url=url, timeout=120.0) as http:
        answer = await http.request(method, path, json=body, headers=headers)
    assert answer.status_code in (200, 201), answer.text
    results = answer.json().get("results", [])
    assert {result["status"] for result in results} <= {201}, answer.text


async def _open(cluster: Cluster, url: str) -> None:
    """So many accounts, each with what its plan gives and a little of it spent."""
    for first in range(0, USERS, AT_ONCE):
        charges = [
            {"type": "charge", "key": f"open-{number}", "user": f"user-{number}", "amount": "1"}
            for number in range(first, first + AT_ONCE)
        ]
        await _ask(cluster, url, "POST", "/v1/batch", {"commands": charges})


async def test_a9_a_month_ends_once_for_everybody_however_often_the_ledger_dies(tmp_path: Path) -> None:
    """SIGKILL before, in and behind appends of sweeps: nobody is skipped, nobody is reset twice, the number is told."""
    async with Cluster(tmp_path) as cluster:
        writer = cluster.serve()
        writer.start()
        await writer.ready()
        await _ask(cluster, writer.url, "PUT", "/v1/config", CONFIG)
        await _open(cluster, writer.url)
        await _ask(cluster, writer.url, "PUT", "/v1/test-clock", {"now": "2026-01-31T23:59:59Z"})
        assert await cluster.sql(f"SELECT count(*) {RESET}") == 0
        await writer.stop()
        # The month ends while nothing runs: every life finds it due at once.
        await cluster.sql("UPDATE test_clocks SET now = '2026-02-01T00:00:01Z' RETURNING 1")
        done = [0]
        for point in POINTS:
            writer.start(point)
            assert await writer.ended(DEADLINE_S) == KILLED, writer.last_words()
            done.append(int(await cluster.sql(f"SELECT count(*) {RESET}")))
            assert await cluster.sql(f"SELECT count(*) {TOLD}") == 0, "a part is not all"
        assert done == sorted(done), "what was committed stays"
        assert 0 < done[-1] < USERS, "every death was in the middle"

        writer.start()
        await writer.ready()

        async def told() -> bool:
            return bool(await cluster.sql(f"SELECT count(*) = $1 {TOLD}", cluster.partitions))

        await eventually(told, "the month is told of in every partition", DEADLINE_S)
        assert await cluster.sql(f"SELECT count(*) {RESET}") == USERS
        assert await cluster.sql(f"SELECT count(DISTINCT user_id) {RESET} AND app = $1", APP) == USERS
        number = "sum((convert_from(payload, 'UTF8')::jsonb ->> 'accounts')::int)"
        assert await cluster.sql(f"SELECT {number} {TOLD}") == USERS
        found = await verify(cluster.dsn("ledger"))
        assert [str(each) for each in found.violations] == []
