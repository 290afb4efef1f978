"""Fixtures for tests against a real PostgreSQL 18: one server a run, a database of its own for each test."""

import hashlib
import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.admin import Admin
from deploy.embedded.child import Child
from deploy.embedded.ports import free_port
from deploy.embedded.postgres import PostgresServer
from tests.plugins import containers
from tests.plugins.shared import controller_pid, run_lock, shared_server

OWNER, RUNTIME = "test_owner", "test"
# The server is for tests of this machine only and ends with them.
ROLE_PASSWORD = "test"


@dataclass(frozen=True, slots=True)
class Database:
    """A test's own database: the owner's role migrates it, the runtime role may only connect until told otherwise."""

    admin: Admin
    name: str
    owner: str = OWNER
    runtime: str = RUNTIME

    @property
    def owner_dsn(self) -> str:
        """The address for the owner's role."""
        return self.admin.dsn(self.name, self.owner, ROLE_PASSWORD)

    @property
    def runtime_dsn(self) -> str:
        """The address for the runtime role."""
        return self.admin.dsn(self.name, self.runtime, ROLE_PASSWORD)

    @property
    def admin_dsn(self) -> str:
        """The address for the superuser."""
        return self.admin.dsn(self.name)


Prepare = Callable[[Database], Awaitable[None]]
DatabaseFrom = Callable[[str, Prepare], Awaitable[Database]]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what uses PostgreSQL."""
    for item in items:
        if "postgres_server" in getattr(item, "fixturenames", ()):
            item.add_marker("postgres")


@pytest.fixture(scope="session")
def postgres_server(pytestconfig: pytest.Config) -> Iterator[Admin]:
    """The superuser's access to the run's server (no fsync)."""
    if containers.wanted():
        with containers.postgres() as admin:
            _ensure_roles(admin)
            yield admin
        return

    def start(directory: Path, alive_fd: int) -> tuple[Child, dict[str, Any]]:
        server = PostgresServer(
            directory,
            free_port(),
            fsync=False,
            owner_pid=controller_pid(pytestconfig),
            held_fds=[alive_fd],
        )
        server.start()
        assert server.child is not None
        _ensure_roles(server.admin)
        return server.child, {"port": server.port, "password": server.admin.password}

    facts = shared_server(pytestconfig, "postgres", start)
    yield Admin(facts["port"], facts["password"])


@pytest.fixture
def database(postgres_server: Admin) -> Iterator[Database]:
    """An empty database, dropped after the test."""
    made = _create(postgres_server, "template0")
    yield made
    postgres_server.drop_database(made.name)


@pytest.fixture
def database_from(postgres_server: Admin, pytestconfig: pytest.Config) -> Iterator[DatabaseFrom]:
    """``await database_from(key, prepare)`` gives a new copy of what ``prepare`` made of an empty database.

    ``prepare`` runs once a run for each key (say, the name of a service whose migrations it runs); a copy takes some
    40 ms.
    """
    made: list[Database] = []

    async def copy(key: str, prepare: Prepare) -> Database:
        template = f"template_{hashlib.sha256(key.encode()).hexdigest()[:16]}"
        with run_lock(pytestconfig, template):
            if not postgres_server.has_database(template):
                draft = _create(postgres_server, "template0")
                await prepare(draft)
                postgres_server.sql(f"ALTER DATABASE {draft.name} RENAME TO {template}")
        made.append(_create(postgres_server, template))
        return made[-1]

    yield copy
    for each in made:
        postgres_server.drop_database(each.name)


def _create(admin: Admin, template: str) -> Database:
    name = f"test_{secrets.token_hex(6)}"
    admin.create_database(name, owner=OWNER, runtime=RUNTIME, template=template)
    return Database(admin, name)


def _ensure_roles(admin: Admin) -> None:
    for role in (OWNER, RUNTIME):
        admin.ensure_role(role, ROLE_PASSWORD)
