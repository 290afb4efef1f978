"""Referrals beside a ledger, all of them real processes, with a stand-in for payments that tells of orders over HTTP
and Kafka."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from libs.events.bus import Bus
from libs.events.contracts.payments.events import OrderPaid, OrderRefunded
from libs.events.db import MIGRATIONS
from libs.service.app_files import OWNERS, SHARED_KEYS, read_app_file
from libs.service.clock import parse_time
from libs.service.db import create_pool
from libs.service.migrations import migrate
from libs.service.server import make_server
from services.codes.tests.checkout.payments import SOURCE, TOPIC, Payments, order
from tests.chaos.cluster import quiet_port
from tests.chaos.codes import CodesStage, codes_stage
from tests.waiting import beside, eventually

DEADLINE_S = 150.0


@dataclass(slots=True)
class ReferralStage:
    """Codes with its worker, the ledger, and payments. `app` is the one that is spoken for."""

    codes: CodesStage
    payments: Payments
    app: str = "vpn"

    async def apply(self, file: Path, **changes: Any) -> None:
        """Apply an app's file, with these keys changed."""
        parts = read_app_file(file).parts
        for service, url in (("ledger", self.codes.ledger.url), ("codes", self.codes.doors[0].url)):
            own = {key: value for key, value in changes.items() if key in (*SHARED_KEYS, *OWNERS[service])}
            await self._put(f"{url}/v1/config", {**parts[service], **own})

    async def clock(self, now: str) -> None:
        """Put the app's clock forward everywhere."""
        for url in (self.codes.ledger.url, self.codes.doors[0].url):
            await self._put(f"{url}/v1/test-clock", {"now": now})

    async def _put(self, url: str, body: dict[str, Any]) -> None:
        answer = await self.codes.http.put(url, json=body, headers=self._headers("admin"))
        assert answer.status_code in (200, 201), answer.text

    def _headers(self, role: str) -> dict[str, str]:
        token = self.codes.cluster.token(role, app=self.app)
        return {"Authorization": f"Bearer {token}", "Idempotency-Key": secrets.token_hex(8)}

    async def ask(self, method: str, path: str = "", body: Any = None, role: str = "service") -> httpx.Response:
        """A request to a path behind `/v1/referrals`."""
        url = f"{self.codes.doors[0].url}/v1/referrals{path}"
        return await self.codes.http.request(method, url, json=body, headers=self._headers(role))

    async def own(self, user: str) -> dict[str, Any]:
        """The user's code and what came of it."""
        answer = await self.ask("PUT", f"/{user}", {})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    async def bring(self, referrer: str, referee: str, **signals: Any) -> dict[str, Any]:
        """The referee comes by the referrer's code."""
        code = (await self.own(referrer))["code"]
        answer = await self.ask("POST", "", {"user": referee, "code": code, **signals})
        assert answer.status_code == 201, answer.text
        made: dict[str, Any] = answer.json()
        return made

    async def referral(self, referee: str) -> dict[str, Any]:
        """By whom somebody came, and what it earned."""
        (found,) = (await self.ask("GET", f"?referee={referee}")).json()["data"]
        made: dict[str, Any] = found
        return made

    async def pay(self, user: str, order_id: str, at: str, amount_minor: int = 4000) -> None:
        """Payments tell that an order was paid."""
        paid = order(OrderPaid, order_id, started_us=parse_time(at), amount_minor=amount_minor)
        await self.payments.tell(paid, app=self.app, user=user)

    async def refund(self, user: str, order_id: str, at: str, amount_minor: int = 4000) -> None:
        """Payments tell that an order was refunded in full."""
        back = order(OrderRefunded, order_id, started_us=parse_time(at), amount_minor=amount_minor)
        await self.payments.tell(back, app=self.app, user=user)

    async def until(self, referee: str, status: str, *, rewards: str | None = None) -> dict[str, Any]:
        """The referral, once it and each of its rewards have come so far."""

        async def reached() -> bool:
            found = await self.referral(referee)
            return found["status"] == status and all(rewards in (None, one["status"]) for one in found["rewards"])

        await eventually(reached, f"{referee}'s referral is {status}, its rewards are {rewards}", DEADLINE_S)
        return await self.referral(referee)

    async def balance(self, user: str) -> str:
        """What the user has in the ledger; nothing if the ledger has never heard of them."""
        url = f"{self.codes.ledger.url}/v1/accounts/{user}/state"
        answer = await self.codes.http.get(url, headers=self._headers("service"))
        return str(answer.json()["settled"]) if answer.status_code == 200 else "0"


@asynccontextmanager
async def referral_stage(directory: Path) -> AsyncIterator[ReferralStage]:
    """All of it, running; the worker looks often for what is due."""
    port = quiet_port()
    often = {"TALLYSTICK_CODES_EXPIRY_S": "0.2", "TALLYSTICK_CODES_NEWS_S": "0.2"}
    async with codes_stage(directory, 1, TALLYSTICK_PAYMENTS_URL=f"http://127.0.0.1:{port}", **often) as codes:
        cluster = codes.cluster
        await asyncio.to_thread(cluster.postgres.ensure_service, SOURCE)
        await migrate(cluster.owner_dsn(SOURCE), [MIGRATIONS], SOURCE)
        bus = Bus(f"file:{cluster.data / 'broker.json'}", {TOPIC: cluster.partitions}, client_id=SOURCE)
        async with (
            await create_pool(cluster.dsn(SOURCE), application_name=SOURCE) as pool,
            bus,
            Payments(pool, bus, cluster.partitions) as payments,
        ):
            server = make_server(payments.app, "127.0.0.1", port)
            serving = asyncio.create_task(server.serve())
            try:
                async with beside(*payments.parts()):
                    yield ReferralStage(codes, payments)
            finally:
                server.should_exit = True
                await serving
