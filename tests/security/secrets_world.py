"""Real processes of the ledger with secrets that can be told apart from anything else, and all that they ever say."""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from deploy.embedded.admin import Admin
from deploy.embedded.ports import free_port

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
    said: dict[str, str] = field(default_factory=dict)

    def dsn(self, role: str, password: str) -> str:
        """The address of the database for a role."""
        who = f"{role}:{quote(password, safe='')}"
        return f"postgresql://{who}@127.0.0.1:{self.admin.port}/{self.database}?sslmode=disable"

    def environment(self, **changes: str) -> dict[str, str]:
        """What a process is started with."""
        return {
            **{name: value for name, value in os.environ.items() if not name.startswith("TALLYSTICK_")},
            "TALLYSTICK_DATA": str(self.data),
            "TALLYSTICK_ENV": "test",
            "TALLYSTICK_KAFKA": f"127.0.0.1:{free_port()}",
            "TALLYSTICK_LOG_LEVEL": "debug",
            "TALLYSTICK_LEDGER_DSN": self.dsn(self.runtime, self.runtime_password),
            "TALLYSTICK_LEDGER_OWNER_DSN": self.dsn(self.owner, self.owner_password),
            "TALLYSTICK_LEDGER_RUNTIME_ROLE": self.runtime,
            "TALLYSTICK_LEDGER_PARTITIONS": "4",
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
def deployment(admin: Admin, data: Path) -> Iterator[Deployment]:
    """An empty database with two roles of its own, dropped in the end."""
    name = f"secret_{secrets.token_hex(4)}"
    made = Deployment(admin, data, name, Secrets(), f"{name}_owner", new_password(), f"{name}_runtime", new_password())
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
