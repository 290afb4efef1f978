"""The whole suite as its users run it, and the ways in which tests reach it."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tallystick import AsyncClient, Retry

from deploy.embedded.child import Child
from deploy.embedded.ports import is_taken
from libs.service.auth import PEOPLE, PEOPLE_TTL_S_MAX, ROLE_SCOPES
from libs.service.keys import issue_token, newest_key
from libs.service.settings import GRPC_OFFSET, PORTS
from tests.metrics import metric_of

START_S = 240.0
RELAY_OFFSET, VERIFIER_OFFSET = 100, 200
RETRY = Retry(attempts=3, total_s=5.0)
TALLYSTICK = (sys.executable, "-m", "libs.service.cli")


@dataclass(frozen=True, slots=True)
class Suite:
    """A running suite: its data directory and the number that its ports are counted from."""

    data: Path
    port_base: int

    @property
    def url(self) -> str:
        """The ledger."""
        return self.url_of("ledger")

    def url_of(self, service: str) -> str:
        """One of the services."""
        return f"http://127.0.0.1:{self.port_base + PORTS[service]}"

    @property
    def kafka(self) -> str:
        """Where the broker is, as the setting `TALLYSTICK_KAFKA` says it."""
        return f"file:{self.data / 'broker.json'}"

    def environment(self) -> dict[str, str]:
        """What the command line of this suite sees."""
        mine = {"TALLYSTICK_DATA": str(self.data), "TALLYSTICK_PORT_BASE": str(self.port_base)}
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")}
        return {**inherited, **mine}

    def tallystick(self, *arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run `tallystick` with these arguments to its end, under these settings beside the suite's."""
        return subprocess.run(
            [*TALLYSTICK, *map(str, arguments)],
            env={**self.environment(), **settings},
            capture_output=True,
            text=True,
            check=False,
            timeout=START_S,
        )

    def wait_until_verified(self) -> None:
        """Wait until the verifier has looked at everything that is there now."""
        url = f"http://127.0.0.1:{self.port_base + PORTS['ledger'] + VERIFIER_OFFSET}/metrics"
        deadline = time.monotonic() + START_S
        while "\nprojection_lag_events 0.0\n" not in httpx.get(url).text:
            assert time.monotonic() < deadline, "the verifier does not catch up"
            time.sleep(0.2)

    def token(
        self,
        app: str,
        role: str,
        *,
        sub: str | None = None,
        scopes: Sequence[str] | None = None,
        audience: str = "ledger",
        ttl_s: int | None = None,
    ) -> str:
        """A token as the app's backend would have one; `app` "*" is one for all apps."""
        key = newest_key(self.data / "keys")
        assert key is not None
        return issue_token(
            key,
            sub=sub or f"e2e-{role}",
            audience=audience,
            role=role,
            scopes=sorted(ROLE_SCOPES[role]) if scopes is None else scopes,
            app=None if app == "*" else app,
            apps=["*"] if app == "*" else None,
            ttl_s=ttl_s or (PEOPLE_TTL_S_MAX if role in PEOPLE else 3600),
        )

    def client(self, app: str, role: str = "service", **claims: Any) -> AsyncClient:
        """The client library as somebody of that role."""
        return AsyncClient(self.url, self.token(app, role, **claims), retry=RETRY)

    def http(self, app: str, role: str = "service", *, service: str = "ledger", **claims: Any) -> Http:
        """Bare HTTP to a service as somebody of that role."""
        headers = {"Authorization": f"Bearer {self.token(app, role, audience=service, **claims)}"}
        return Http(base_url=self.url_of(service), headers=headers, timeout=30.0)

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that have these labels; 0 if there is none."""
        return await metric_of(self.url, name, labels)


class Http(httpx.AsyncClient):
    """Requests to a service's routes below `/v1/`."""

    async def write(
        self, path: str, body: Any = None, *, key: str | None = None, method: str = "POST"
    ) -> httpx.Response:
        """A write under `key`, or one of its own."""
        return await self.request(
            method, f"/v1/{path}", json=body, headers={"Idempotency-Key": key or secrets.token_hex(8)}
        )

    async def read(self, path: str, **query: Any) -> httpx.Response:
        """A read with a query."""
        return await self.get(f"/v1/{path}", params=query)

    async def state(self, user: str) -> dict[str, Any]:
        """A user's state, which must be there."""
        response = await self.read(f"accounts/{user}/state")
        assert response.status_code == 200, response.text
        found: dict[str, Any] = response.json()
        return found


def amounts(answer: Any, *names: str) -> list[str]:
    """These amounts of a client's answer as the ledger wrote them."""
    return [str(getattr(answer, name)) for name in names]


def start_suite(directory: Path, *, owner_pid: int, held_fds: Sequence[int]) -> tuple[Child, Suite]:
    """Start `tallystick up` on an empty directory, and wait until it says that it runs."""
    suite = Suite(directory / "data", free_port_base())
    directory.mkdir(exist_ok=True)
    log = directory / "log"
    with log.open("wb") as output:
        child = Child(
            [*TALLYSTICK, "up"],
            env=suite.environment(),
            output=output,
            grace_s=20.0,
            owner_pid=owner_pid,
            held_fds=held_fds,
        )
    deadline = time.monotonic() + START_S
    while "Tallystick is running" not in (said := log.read_text(errors="replace")):
        if child.poll() is not None or time.monotonic() > deadline:
            child.stop()
            raise RuntimeError(f"the suite did not start:\n{said}")
        time.sleep(0.02)
    if "run without these changes" in said:
        child.stop()
        raise RuntimeError(f"the apps could not be applied:\n{said}")
    return child, suite


def free_port_base() -> int:
    """A base below the ports that the system gives to clients, with all of the suite's ports behind it free."""
    ledger, codes = PORTS["ledger"], PORTS["codes"]
    offsets = (
        *(ledger, ledger + RELAY_OFFSET, ledger + VERIFIER_OFFSET, ledger + GRPC_OFFSET),
        *(codes, codes + RELAY_OFFSET, PORTS["postgres"]),
    )
    first = 10_000 + os.getpid() % 36 * 300
    return next(base for base in range(first, 21_000, 300) if not any(is_taken(base + offset) for offset in offsets))
