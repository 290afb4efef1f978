"""Codes beside a ledger, all of them real processes: what redeems in parallel while anything dies, and what must be
true afterwards.
"""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from libs.service.keys import ensure_secret
from services.codes.settings import WORKER_OFFSET
from services.codes.store.setup import prepare
from tests.chaos.cluster import Cluster, quiet_port
from tests.chaos.process import Process
from tests.waiting import eventually

DATABASE = "codes"
DEADLINE_S = 150.0
TIMEOUT_S = 30.0
RETRY_S = 0.05


class CodesCluster(Cluster):
    """A cluster with what codes needs; its processes are made by `codes` and `worker`."""

    async def _prepare(self) -> None:
        await super()._prepare()
        self.topics += ["codes.events", "payments.events"]
        await asyncio.to_thread(self.postgres.ensure_service, DATABASE)
        await prepare(self.owner_dsn(DATABASE), DATABASE)
        ensure_secret(self.data / "keys" / "codes.pepper")

    def codes(self, name: str, ledger_url: str, **settings: str) -> Process:
        """A process of HTTP, not yet started."""
        return self._of_codes(f"codes-{name}", "serve", ledger_url, 0, settings)

    def worker(self, ledger_url: str, **settings: str) -> Process:
        """The worker, not yet started."""
        return self._of_codes("codes-worker", "worker", ledger_url, WORKER_OFFSET, settings)

    def _of_codes(self, name: str, verb: str, ledger_url: str, offset: int, settings: dict[str, str]) -> Process:
        port = quiet_port(offset)
        own = {
            "TALLYSTICK_CODES_DSN": self.dsn(DATABASE),
            "TALLYSTICK_CODES_PORT": str(port),
            "TALLYSTICK_CODES_PARTITIONS": str(self.partitions),
            "TALLYSTICK_LEDGER_URL": ledger_url,
        }
        made = self._process(name, ("-m", "services.codes", verb), port, own | settings)
        made.port, made.url = port + offset, f"http://127.0.0.1:{port + offset}"
        return made


@dataclass(slots=True)
class CodesStage:
    """A running ledger with its relay, processes of codes for HTTP, and their worker."""

    cluster: CodesCluster
    ledger: Process
    relay: Process
    doors: list[Process]
    worker: Process
    http: httpx.AsyncClient
    samples: dict[str, dict[str, Any]] = field(default_factory=dict)

    def headers(self, role: str = "service", **more: str) -> dict[str, str]:
        """Of a request by somebody of that role."""
        return {"Authorization": f"Bearer {self.cluster.token(role)}", **more}

    async def code(self, **spec: Any) -> str:
        """A new public code of one's own."""
        text = f"C{secrets.token_hex(6).upper()}"
        self.samples[text] = spec
        answer = await self.http.put(
            f"{self.doors[0].url}/v1/config", json={"codes": {"samples": self.samples}}, headers=self.headers("admin")
        )
        assert answer.status_code == 200, answer.text
        return text

    async def ask(self, body: dict[str, Any], key: str | None = None, door: Process | None = None) -> httpx.Response:
        """One request to redeem."""
        door = door or random.choice(self.doors)  # noqa: S311
        sent = self.headers(**{"Idempotency-Key": key or secrets.token_hex(8)})
        return await self.http.post(f"{door.url}/v1/redemptions", json=body, headers=sent)

    async def redeem(self, text: str, user: str) -> str:
        """Redeem as a backend does: again under the same key until it is decided. `confirmed`, or why not."""
        key, end = secrets.token_hex(8), time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            try:
                answer = await self.ask({"code": text, "user": user}, key)
            except httpx.TransportError:
                await asyncio.sleep(RETRY_S)
                continue
            if answer.status_code == 201:
                status: str = answer.json()["status"]
                return status
            if answer.status_code in (404, 409):
                code: str = answer.json()["code"]
                return code
            assert answer.status_code in (202, 503), answer.text
            await asyncio.sleep(RETRY_S)
        raise AssertionError(f"{user} was not answered within {DEADLINE_S} s")

    async def redeem_all(self, text: str, users: Sequence[str]) -> dict[str, int]:
        """Redeem at once for each of them; how often which answer came."""
        answers = await asyncio.gather(*[self.redeem(text, user) for user in users])
        return {answer: answers.count(answer) for answer in sorted(set(answers))}

    async def status(self, redemption_id: str) -> dict[str, Any]:
        """What has become of a redemption."""
        answer = await self.http.get(f"{self.doors[0].url}/v1/redemptions/{redemption_id}", headers=self.headers())
        found: dict[str, Any] = answer.json()
        return found

    async def sql(self, query: str, *arguments: Any) -> Any:
        """One value of the database of codes."""
        return await self.cluster.sql(query, *arguments, database=DATABASE)

    async def settled(self) -> None:
        """Wait until no reservation waits for the ledger."""

        async def none_waits() -> bool:
            return not await self.sql("SELECT count(*) FROM redemptions WHERE status = 'reserved'")

        await eventually(none_waits, "every reservation settles", DEADLINE_S)

    async def violations(self, text: str, uses: int, amount: int) -> list[str]:
        """What is not as it must be of a code that was used so often: in codes, in the ledger, and between them."""
        code = await self.sql("SELECT id FROM codes WHERE text = $1", text)

        async def column(expression: str, where: str = "") -> list[str]:
            query = f"SELECT coalesce(array_agg({expression}), '{{}}') FROM redemptions WHERE code_id = $1 {where}"
            return list(await self.sql(query, code))

        confirmed = set(await column("id", "AND status = 'confirmed'"))
        users = await column("DISTINCT user_id")
        granted = await self.cluster.sql(
            "SELECT coalesce(array_agg(ref), '{}') FROM unique_refs WHERE ref = ANY($1)", await column("id")
        )
        found = {
            "redemptions": len(confirmed),
            "uses": await self.sql("SELECT redeemed FROM codes WHERE id = $1", code),
            "users' uses": await self.sql("SELECT coalesce(sum(redeemed), 0) FROM code_users WHERE code_id = $1", code),
            "grants": len(granted),
            "lots": await self.cluster.sql("SELECT count(*) FROM lots WHERE user_id = ANY($1)", users),
            "told": await self.sql(
                "SELECT count(*) FROM outbox WHERE type = 'codes.redemption_confirmed.v1'"
                " AND convert_from(data, 'UTF8')::json ->> 'code' = $1",
                code,
            ),
        }
        wrong = [f"{count} {name}, not {uses}" for name, count in found.items() if count != uses]
        if set(granted) != confirmed:
            wrong.append(f"granted and not confirmed, or the other way round: {set(granted) ^ confirmed}")
        settled = await self.cluster.sql(
            "SELECT coalesce(sum(settled), 0) FROM accounts WHERE user_id = ANY($1)", users
        )
        if settled != uses * amount:
            wrong.append(f"{settled} credits, not {uses * amount}")
        stuck = await self.sql("SELECT (SELECT sum(reserved) FROM codes) + (SELECT sum(reserved) FROM code_users)")
        return [*wrong, f"{stuck} uses stay reserved"] if stuck else wrong


@asynccontextmanager
async def codes_stage(directory: Path, doors: int = 2, **settings: str) -> AsyncIterator[CodesStage]:
    """All of it, running; `settings` are of the processes of codes."""
    async with CodesCluster(directory) as cluster:
        ledger = cluster.serve()
        relay = cluster.relay()
        processes = [cluster.codes(name, ledger.url, **settings) for name in "abcdefgh"[:doors]]
        worker = cluster.worker(ledger.url, **settings)
        started = [ledger, relay, *processes, worker]
        for process in started:
            process.start()
        for process in started:
            await process.ready()
        await cluster.configure(ledger.url)
        limits = httpx.Limits(max_connections=300)
        async with httpx.AsyncClient(timeout=TIMEOUT_S, limits=limits) as http:
            yield CodesStage(cluster, ledger, relay, processes, worker, http)
