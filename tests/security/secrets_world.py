"""Real processes of a service with secrets that can be told apart from anything else, and all that they ever say."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import httpx

from deploy.embedded.admin import Admin
from deploy.embedded.ports import free_port
from libs.service.auth import ROLE_SCOPES
from libs.service.keys import ensure_keys, issue_token
from tests.security.forgery import forgeries

WAIT_S = 60.0
PASSWORD_SIGNS = "/:@%#?&= '\""
"""What passwords may hold and addresses must quote; where that is forgotten, half a password can end up in an error."""


def new_password() -> str:
    """A password of which both halves, and either form, can be searched for."""
    return f"{secrets.token_hex(8)}{PASSWORD_SIGNS}{secrets.token_hex(8)}"


@dataclass
class Secrets:
    """Texts that must never turn up, by what they are."""

    texts: dict[str, str] = field(default_factory=dict)

    def add(self, what: str, text: str) -> str:
        """One more; the text itself."""
        assert len(text) >= 8, f"{what} is too short to be searched for"
        self.texts[what] = text
        return text

    def add_password(self, what: str, password: str) -> None:
        """A password, whole or in halves, plain or quoted."""
        first, second = password.split(PASSWORD_SIGNS)
        for name, text in (
            ("", password),
            (" quoted", quote(password, safe="")),
            (" in part", first),
            (" end", second),
        ):
            self.add(what + name, text)

    def add_token(self, what: str, token: str) -> str:
        """A token, by what follows its header: its claims and its signature."""
        for name, part in zip(("claims", "signature"), token.split(".")[1:], strict=True):
            if part:
                self.add(f"{name} of {what}", part)
        return token

    def found_in(self, text: str) -> list[str]:
        """What of all this is in a text."""
        return [what for what, secret in self.texts.items() if secret in text]


@dataclass
class Deployment:
    """A database with roles of its own, keys, and the environment of processes on it."""

    admin: Admin
    data: Path
    database: str
    secrets: Secrets
    owner: str
    owner_password: str
    runtime: str
    runtime_password: str
    service: str = "ledger"
    said: dict[str, str] = field(default_factory=dict)

    def dsn(self, role: str, password: str) -> str:
        """The address of the database for a role."""
        who = f"{role}:{quote(password, safe='')}"
        return f"postgresql://{who}@127.0.0.1:{self.admin.port}/{self.database}?sslmode=disable"

    def environment(self, **changes: str) -> dict[str, str]:
        """What a process is started with."""
        prefix = f"TALLYSTICK_{self.service.upper()}"
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")},
            "TALLYSTICK_DATA": str(self.data),
            "TALLYSTICK_ENV": "test",
            "TALLYSTICK_KAFKA": f"127.0.0.1:{free_port()}",
            "TALLYSTICK_LOG_LEVEL": "debug",
            f"{prefix}_DSN": self.dsn(self.runtime, self.runtime_password),
            f"{prefix}_OWNER_DSN": self.dsn(self.owner, self.owner_password),
            "TALLYSTICK_LEDGER_RUNTIME_ROLE": self.runtime,
            f"{prefix}_PARTITIONS": "4",
            **changes,
        }

    def run(self, name: str, *arguments: str, **changes: str) -> int:
        """Run a process to its end; its exit code."""
        done = subprocess.run(
            [sys.executable, *arguments],
            env=self.environment(**changes),
            capture_output=True,
            text=True,
            timeout=WAIT_S,
            check=False,
        )
        self.said[name] = done.stdout + done.stderr
        return done.returncode

    @contextmanager
    def process(self, name: str, *arguments: str, **changes: str) -> Iterator[subprocess.Popen[bytes]]:
        """A process while the block lasts; what it said is kept."""
        log = self.data / f"{name}.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, *arguments], env=self.environment(**changes), stdout=output, stderr=subprocess.STDOUT
            )
            try:
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(WAIT_S)
                finally:
                    process.kill()
                    process.wait()
                    self.said[name] = log.read_text(errors="replace")

    def set_password(self, role: str, password: str) -> None:
        """Give a role a password."""
        self.admin.sql(f"ALTER ROLE {role} PASSWORD '{password.replace(chr(39), chr(39) * 2)}'")

    def disconnect(self) -> None:
        """Cut every connection to the database."""
        self.admin.sql(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{self.database}'")


@contextmanager
def deployment(admin: Admin, data: Path, service: str = "ledger") -> Iterator[Deployment]:
    """An empty database with two roles of its own, dropped in the end; and a key that is a secret too."""
    name = f"secret_{secrets.token_hex(4)}"
    made = Deployment(admin, data, name, Secrets(), f"{name}_owner", new_password(), f"{name}_runtime", new_password())
    made.service = service
    key = ensure_keys(data / "keys", data / "keys" / "jwks.json")
    for number, line in enumerate(key.read_text().splitlines()[1:-1]):
        made.secrets.add(f"line {number} of the private key", line)
    for role, password in ((made.owner, made.owner_password), (made.runtime, made.runtime_password)):
        admin.sql(f"CREATE ROLE {role} LOGIN")
        made.set_password(role, password)
        made.secrets.add_password(f"password of {role.removeprefix(name)}", password)
    admin.create_database(name, owner=made.owner, runtime=made.runtime)
    try:
        yield made
    finally:
        admin.drop_database(name)
        admin.sql(f"DROP ROLE {made.runtime}", f"DROP ROLE {made.owner}")


def eventually(check: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not check():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class Caller:
    """Somebody who keeps everything that the service answers."""

    def __init__(self, place: Deployment, port: int) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10)
        self.key = next((place.data / "keys").glob("*.pem"))
        self.place = place
        self.number = 0
        self.answers: list[str] = []

    def token(self, role: str = "admin", sub: str = "ann") -> str:
        scopes = sorted(ROLE_SCOPES[role])
        token = issue_token(self.key, sub=sub, audience=self.place.service, role=role, scopes=scopes, app="coins")
        return self.place.secrets.add_token(f"a token of {role} {sub}", token)

    def ask(self, method: str, path: str, json: object = None, header: str | None = None, **more: str) -> int:
        """One request; its status."""
        self.number += 1
        sent = {"Authorization": header or f"Bearer {self.token()}", "Idempotency-Key": f"key-{self.number}", **more}
        try:
            answer = self.http.request(method, path, json=json, headers=sent)
        except httpx.TransportError:
            return 0
        self.answers.append(f"{answer.status_code} {answer.headers} {answer.text}")
        return answer.status_code

    def ready(self) -> bool:
        """Whether `/readyz` says so."""
        return self.ask("GET", "/readyz") == 200

    def forge(self, path: str) -> None:
        """Come to a path with every token that is none, each of them a secret too."""
        for what, header in forgeries(self.key, self.place.data / "keys" / "jwks.json", self.place.service).items():
            for part in header.removeprefix("Bearer ").split(".")[1:]:
                if len(part) > 40:
                    self.place.secrets.add(f"part of a token: {what} {part[:4]}", part)
            assert not header or self.ask("GET", path, None, header) == 401


def assert_nothing_said(place: Deployment) -> None:
    for name, text in place.said.items():
        assert place.secrets.found_in(text) == [], name
