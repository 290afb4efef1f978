"""The ledger as its callers meet it: served in the test's own process on a real database, spoken to over HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
from fastapi import FastAPI
from pydantic import SecretStr

from deploy.embedded.ports import free_port
from libs.service.auth import ROLE_SCOPES
from libs.service.keys import ensure_keys, issue_token
from libs.service.server import make_server
from services.ledger.app import build
from services.ledger.settings import LedgerSettings
from services.ledger.store.setup import prepare
from tests.plugins.postgres import Database
from tests.waiting import eventually

APP = "coins"
DOCUMENT: dict[str, Any] = {"assets": {"coins": {"scale": 2}}}
DEADLINE_S = 60.0
PARTITIONS = 4
STREAM_LIFE_S = 0.2
_KEYS = count()


async def prepare_ledger(database: Database, shards: tuple[str, ...] = ("0",)) -> None:
    """Make an empty database a ledger's."""
    await prepare(database.owner_dsn, database.runtime, PARTITIONS, shards)


@dataclass(slots=True)
class Api:
    """One caller. Writes get a fresh idempotency key unless one is given."""

    http: httpx.AsyncClient
    app: FastAPI
    key_file: Path
    role: str = "service"
    sub: str = "tests"
    of_app: str = APP
    scopes: tuple[str, ...] | None = None
    audience: str = "ledger"
    _token: str = field(default="", init=False)

    def as_(self, role: str, sub: str = "tests", app: str | None = None, scopes: tuple[str, ...] | None = None) -> Api:
        """The same service for another caller."""
        return Api(self.http, self.app, self.key_file, role, sub, app or self.of_app, scopes, self.audience)

    @property
    def token(self) -> str:
        """The caller's token."""
        if not self._token:
            scopes = ROLE_SCOPES[self.role] if self.scopes is None else self.scopes
            self._token = issue_token(
                self.key_file,
                sub=self.sub,
                audience=self.audience,
                role=self.role,
                scopes=sorted(scopes),
                app=None if self.role == "system" else self.of_app,
                apps=["*"] if self.role == "system" else None,
            )
        return self._token

    async def send(
        self,
        method: str,
        path: str,
        json: Any = None,
        *,
        key: str | None = None,
        headers: dict[str, str] | None = None,
        content: bytes | None = None,
        params: dict[str, Any] | None = None,
    ) -> httpx.Response:
        """One request as it is."""
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        if self.role == "system":
            sent.setdefault("Tallystick-App", self.of_app)
        if method != "GET" and key != "":
            sent["Idempotency-Key"] = key or f"key-{next(_KEYS)}"
        return await self.http.request(method, f"/v1{path}", json=json, content=content, headers=sent, params=params)

    async def post(self, path: str, json: Any = None, *, key: str | None = None, status: int = 201) -> Any:
        """A write's answer, whose status must be `status`."""
        return self._read(await self.send("POST", path, json or {}, key=key), status)

    async def put(self, path: str, json: Any = None, *, status: int = 200) -> Any:
        """As `post`."""
        return self._read(await self.send("PUT", path, json or {}), status)

    async def get(self, path: str, *, status: int = 200, **params: Any) -> Any:
        """A read's answer, whose status must be `status`."""
        return self._read(await self.send("GET", path, params=params), status)

    @staticmethod
    def _read(response: httpx.Response, status: int) -> Any:
        assert response.status_code == status, response.text
        if status >= 400:
            assert response.headers["content-type"] == "application/problem+json"
        return response.json()

    async def grant(self, user: str, amount: str, **fields: Any) -> Any:
        """Credits for a user."""
        return await self.post("/grants", {"user": user, "amount": amount, **fields})

    async def state(self, user: str, **params: Any) -> Any:
        """A user's state, as staff sees it."""
        return await self.get(f"/accounts/{user}/state", **params)


def settings_of(database: Database, data: Path, **values: Any) -> LedgerSettings:
    """Settings of a process of the ledger on `database`."""
    # A stream ends by itself, for whoever waits for the whole of an answer.
    fields = {
        "listen_port": free_port(),
        "grpc_listen_port": 0,
        "env": "test",
        "data": data,
        "stream_life_s": STREAM_LIFE_S,
        **values,
    }
    return LedgerSettings(dsn=SecretStr(database.runtime_dsn), **fields)


@asynccontextmanager
async def running(database: Database, data: Path, **values: Any) -> AsyncIterator[Api]:
    """A process of the ledger within this one: its application with its lifespan, without a socket."""
    settings = settings_of(database, data, **values)
    key_file = ensure_keys(data / "keys", settings.jwks_file)
    app = build(settings)
    transport = httpx.ASGITransport(app)
    http = httpx.AsyncClient(transport=transport, base_url="http://l", timeout=DEADLINE_S)
    async with app.router.lifespan_context(app), http:
        api = Api(http, app, key_file)
        await until_ready(http)
        yield api


@asynccontextmanager
async def served(database: Database, data: Path, **values: Any) -> AsyncIterator[Api]:
    """As :func:`running`, on a port, so that peers reach it; `app.state.server` is what can be told to stop."""
    settings = settings_of(database, data, **values)
    key_file = ensure_keys(data / "keys", settings.jwks_file)
    app = build(settings)
    server = app.state.server = make_server(app, "127.0.0.1", settings.port)
    task = asyncio.create_task(server._serve())
    try:
        async with httpx.AsyncClient(base_url=settings.url, timeout=DEADLINE_S) as http:
            deadline = monotonic() + DEADLINE_S
            while not server.started:
                assert monotonic() < deadline and not task.done(), "the server does not start"
                await asyncio.sleep(0.01)
            yield Api(http, app, key_file)
    finally:
        server.should_exit = True
        await task


async def until_ready(http: httpx.AsyncClient) -> None:
    """Wait until every command can be decided."""

    async def ready() -> bool:
        try:
            return (await http.get("/readyz")).status_code == 200
        except httpx.ConnectError:
            return False

    await eventually(ready)


@asynccontextmanager
async def opened(database: Database, directory: Path, **settings: Any) -> AsyncIterator[Api]:
    """A ledger on a port, ready and with the tests' app."""
    async with served(database, directory, **settings) as api:
        await until_ready(api.http)
        await api.as_("admin").put("/config", DOCUMENT)
        yield api


async def until_leading(api: Api) -> None:
    """Wait until this process writes its shard."""

    async def leading() -> bool:
        return api.app.state.core.leader.writer is not None

    await eventually(leading)
