"""The service as those who enter codes meet it: its routes on a real database, without Kafka and without a ledger."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
from pydantic import SecretStr

from libs.events.bus import Bus
from libs.events.commands import Answers
from libs.service.auth import ROLE_SCOPES, Authenticator
from libs.service.clock import LateClocks, ManualClock, SystemClock, parse_time
from libs.service.keys import ensure_keys, issue_token
from services.codes.app import assemble
from services.codes.core import LEDGER_EVENTS, Core
from services.codes.domain.codes import Code, Terms
from services.codes.domain.discounts import Discount
from services.codes.domain.texts import Pattern
from services.codes.handlers.redeeming import Desk
from services.codes.ledger import Ledger
from services.codes.running import core_of
from services.codes.settings import CodesSettings
from services.codes.store import codes
from services.codes.store.setup import prepare
from tests.plugins.postgres import Database

APP = "kernel"
NOW = "2026-06-01T12:00:00Z"
NOW_US = parse_time(NOW)
CHECKOUT = {"amount_minor": 2_000, "currency": "USD"}
TEN_PER_CENT = Terms(discount=Discount(amount_off_minor=100, currency="USD"))


async def prepare_codes(database: Database) -> None:
    """Make an empty database one of codes."""
    await prepare(database.owner_dsn, database.runtime)


@dataclass(frozen=True, slots=True)
class Gate:
    """Somebody of an app. Writes get a fresh idempotency key unless one is given."""

    http: httpx.AsyncClient
    core: Core
    clock: ManualClock
    key_file: Path
    role: str = "service"
    sub: str = "tests"

    def as_(self, role: str, sub: str = "tests") -> Gate:
        """The same service for another caller."""
        return replace(self, role=role, sub=sub)

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
            app=APP,
            ttl_s=300,
        )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {token}", **named}
        if method != "GET":
            sent["Idempotency-Key"] = key or secrets.token_hex(8)
        return await self.http.request(method, f"/v1{path}", json=body, headers=sent)

    async def get(self, path: str) -> Any:
        """What is there; it must be."""
        answer = await self.send("GET", path)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def enter(self, text: str, user: str = "ada", *, key: str | None = None, **more: Any) -> httpx.Response:
        """A redemption of a text at a checkout, which needs no ledger."""
        body = {"code": text, "user": user, "checkout": {"id": secrets.token_hex(6), **CHECKOUT}, **more}
        return await self.send("POST", "/redemptions", body, key=key)

    async def said(self, text: str, user: str = "ada", **more: Any) -> str:
        """What came of entering a text: `ok`, or the code of the refusal."""
        answer = await self.enter(text, user, **more)
        return "ok" if answer.status_code == 201 else str(answer.json()["code"])

    async def validate(self, text: str, user: str = "ada", **more: Any) -> httpx.Response:
        """A dry run."""
        return await self.send("POST", "/validations", {"code": text, "user": user, **more})

    async def make(self, text: str, *, public: bool = True, **fields: Any) -> Code:
        """A code of this text, which is kept only if it is public."""
        code = Code(
            id=self.core.new_id("code", APP),
            app=APP,
            kind=fields.pop("kind", "discount"),
            text=text if public else None,
            last4=text[-4:],
            **{"terms": TEN_PER_CENT, "max_uses": None, "per_user_limit": None, **fields},
        )
        async with self.core.pool.acquire() as connection:
            assert await codes.insert(connection, code, self.core.digest(APP, text))
        return code

    async def make_hidden(self, **fields: Any) -> tuple[Code, str]:
        """A made code, of which only the digest is kept, and its text."""
        text = made_text()
        return await self.make(text, public=False, **fields), text

    async def configure(self, **codes_section: Any) -> None:
        """Apply a configuration of codes."""
        answer = await self.as_("admin").send("PUT", "/config", {"codes": codes_section})
        assert answer.status_code == 200, answer.text


def made_text() -> str:
    """A well-formed text that nobody has."""
    return Pattern.of().text_of(secrets.token_bytes(32)).replace("-", "")


@asynccontextmanager
async def gate_of(database: Database, directory: Path, **values: Any) -> AsyncIterator[Gate]:
    """The service on this database, for an app's backend."""
    key_file = ensure_keys(directory / "keys", directory / "keys" / "jwks.json")
    (directory / "keys" / "codes.pepper").write_bytes(b"pepper of the tests, thirty-two bytes.")
    settings = CodesSettings(
        dsn=SecretStr(database.runtime_dsn), data=directory, partitions=4, env="test", answer_s=0.1, **values
    )
    clock, clocks = ManualClock(NOW_US), LateClocks()
    async with core_of(settings, clock, clocks, "codes-tests") as core:
        app = assemble(settings, clocks, authenticator=Authenticator(settings.jwks_file, "codes", SystemClock()))
        app.state.core = core
        ledger = Ledger(settings)
        bus = Bus("127.0.0.1:1", {LEDGER_EVENTS: 4}, client_id="tests")
        app.state.desk = Desk(core, Answers(core.pool, bus, LEDGER_EVENTS, 4), ledger)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://codes") as http:
            yield Gate(http, core, clock, key_file)
        await ledger.close()
