"""Callers that go on whatever version answers, repeat under the same key, and keep what they were told."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import httpx

from libs.service.auth import ROLE_SCOPES
from libs.service.keys import ensure_keys, issue_token
from tests.upgrade.earlier import Running, Site, headers_of

DEADLINE_S = 60.0
PAUSE_S = 0.02
USERS = ("ann", "ben", "eve", "max", "zoe")


async def eventually(check: Callable[[], bool], what: str) -> None:
    """Poll, in a thread, until it holds."""
    end = time.monotonic() + DEADLINE_S
    while not await asyncio.to_thread(check):
        assert time.monotonic() < end, f"not in time: {what}"
        await asyncio.sleep(0.1)


@dataclass
class Load:
    """Writes through whichever of `processes` answers. `answered` holds each key with its first answer."""

    site: Site
    processes: list[Running] = field(default_factory=list)
    answered: dict[str, dict[str, Any]] = field(default_factory=dict)
    balances: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    stopping: bool = False

    def __post_init__(self) -> None:
        self.key = ensure_keys(self.site.data / "keys", self.site.data / "keys" / "jwks.json")

    def token(self, role: str = "service") -> str:
        """A token of the app `coins`."""
        scopes = sorted(ROLE_SCOPES[role])
        return issue_token(self.key, sub="shop", audience="ledger", role=role, scopes=scopes, app="coins")

    async def write(self, client: httpx.AsyncClient, place: str, body: Any, key: str, role: str = "service") -> Any:
        """One write, sent until it is answered for good."""
        method, path = place.split(" ")
        end = time.monotonic() + DEADLINE_S
        turn = 0
        while True:
            assert time.monotonic() < end, f"{key} is not answered"
            process = self.processes[turn % len(self.processes)]
            turn += 1
            try:
                sent = headers_of(self.token(role), key)
                answer = await client.request(method, f"{process.url}/v1{path}", json=body, headers=sent)
            except httpx.TransportError:
                self.statuses[0] += 1
                await asyncio.sleep(PAUSE_S)
                continue
            self.statuses[answer.status_code] += 1
            if answer.status_code in (429, 503):
                await asyncio.sleep(PAUSE_S)
                continue
            assert answer.status_code < 500, answer.text
            return answer

    async def caller(self, number: int) -> None:
        """Grants and charges one after another, each asked for a second time by another process."""
        chance = random.Random(number)  # noqa: S311
        count = 0
        async with httpx.AsyncClient(timeout=20) as client:
            while not self.stopping:
                count += 1
                key, user, amount = f"load-{number}-{count}", chance.choice(USERS), chance.randint(1, 9)
                kind = chance.choice(("grants", "grants", "charges"))
                body = {"user": user, "amount": str(amount)}
                answer = await self.write(client, f"POST /{kind}", body, key)
                if answer.status_code == 201:
                    self.answered[key] = answer.json()
                    self.balances[user] += amount if kind == "grants" else -amount
                else:
                    assert answer.status_code == 402, answer.text
                if count % 5 == 0:
                    again = await self.write(client, f"POST /{kind}", body, key)
                    assert (again.status_code, again.content) == (answer.status_code, answer.content)
                    assert again.headers["idempotency-replayed"] == "true"
                await asyncio.sleep(PAUSE_S)

    async def more(self, number: int) -> None:
        """Wait until so many more writes have succeeded."""
        aim = len(self.answered) + number
        end = time.monotonic() + DEADLINE_S
        while len(self.answered) < aim:
            assert time.monotonic() < end, f"only {len(self.answered)} of {aim} writes succeed: {self.statuses}"
            await asyncio.sleep(0.02)
