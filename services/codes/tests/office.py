"""The service as managers meet it: its routes on a real database, without Kafka; and the worker's part by hand."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from libs.events.bus import Bus
from libs.events.commands import Answers
from libs.service.auth import ROLE_SCOPES, Authenticator
from libs.service.clock import LateClocks, ManualClock, SystemClock, parse_time
from libs.service.keys import ensure_keys, issue_token
from services.codes.app import assemble
from services.codes.core import LEDGER_EVENTS, Core
from services.codes.handlers.batches import work_on
from services.codes.handlers.redeeming import Desk
from services.codes.ledger import Ledger
from services.codes.running import core_of
from services.codes.settings import CodesSettings
from services.codes.store.batches import to_work_on
from services.codes.store.setup import prepare
from tests.plugins.postgres import Database

APP = "kernel"
NOW = "2026-06-01T12:00:00Z"
PEPPER = b"pepper of the tests, thirty-two bytes."


async def prepare_codes(database: Database) -> None:
    """Make an empty database one of codes."""
    await prepare(database.owner_dsn, database.runtime)


@dataclass(frozen=True, slots=True)
class Office:
    """Somebody of an app. Writes get a fresh idempotency key unless one is given."""

    http: httpx.AsyncClient
    served: FastAPI
    core: Core
    clock: ManualClock
    key_file: Path
    role: str = "manager"
    app: str = APP
    sub: str = "tests"

    def as_(self, role: str, app: str | None = None, sub: str | None = None) -> Office:
        """The same service for another caller."""
        return replace(self, role=role, app=app or self.app, sub=sub or self.sub)

    async def send(
        self, method: str, path: str, body: Any = None, *, key: str | None = None, **headers: str
    ) -> httpx.Response:
        """Any request below `/v1`."""
        token = issue_token(
            self.key_file,
            sub=self.sub,
            audience="codes",
            role=self.role,
            scopes=sorted(ROLE_SCOPES[self.role]),
            app=None if self.role == "system" else self.app,
            apps=["*"] if self.role == "system" else None,
            ttl_s=300,
        )
        sent = {"Authorization": f"Bearer {token}", **headers}
        if self.role == "system":
            sent["Tallystick-App"] = self.app
        if method != "GET":
            sent["Idempotency-Key"] = key or secrets.token_hex(8)
        return await self.http.request(method, f"/v1{path}", json=body, headers=sent)

    async def get(self, path: str, **headers: str) -> Any:
        """What is there; it must be."""
        answer = await self.send("GET", path, **headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, body: Any = None) -> Any:
        """What was made or done; it must have been."""
        answer = await self.send("POST", path, body)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def refused(self, method: str, path: str, body: Any = None) -> tuple[int, str, Any]:
        """How a request was refused: status, code, and the problem."""
        answer = await self.send(method, path, body)
        assert answer.status_code >= 400, answer.text
        problem = answer.json()
        return answer.status_code, problem["code"], problem

    async def work(self) -> None:
        """Do what the worker does, until nothing is left."""
        while due := await to_work_on(self.core.pool, 1):
            await work_on(self.core, due[0][0])


def key_of(directory: Path) -> Path:
    """The key that tokens are signed with."""
    return ensure_keys(directory / "keys", directory / "keys" / "jwks.json")


def settings_of(database: Database, directory: Path, **values: Any) -> CodesSettings:
    """Settings of a service on this database, with a pepper and keys in this directory."""
    key_of(directory)
    (directory / "keys" / "codes.pepper").write_bytes(PEPPER)
    return CodesSettings(dsn=SecretStr(database.runtime_dsn), data=directory, partitions=4, env="test", **values)


@asynccontextmanager
async def office(database: Database, directory: Path, **values: Any) -> AsyncIterator[Office]:
    """The service on this database, for a manager."""
    settings = settings_of(database, directory, **values)
    clock = ManualClock(parse_time(NOW))
    clocks = LateClocks()
    async with core_of(settings, clock, clocks, "codes-tests") as core:
        app = assemble(settings, clocks, authenticator=Authenticator(settings.jwks_file, "codes", SystemClock()))
        app.state.core = core
        # Nobody tails the ledger here: outcomes are what is written into the table of sent commands.
        bus = Bus("127.0.0.1:1", {}, client_id="tests")
        app.state.desk = Desk(core, Answers(core.pool, bus, LEDGER_EVENTS, 1, poll_s=0.05), Ledger(settings))
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://codes") as http:
            yield Office(http, app, core, clock, key_of(directory))
