"""One running suite for all tests of a run, with the five apps applied; whoever uses it proves its books at the end."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from tallystick import AsyncClient

from deploy.embedded.child import Child
from tests.e2e.metering import APP, configured
from tests.e2e.suite import Http, Suite, start_suite
from tests.plugins.shared import controller_pid, shared_server


@pytest.fixture(scope="session")
def suite(pytestconfig: pytest.Config) -> Iterator[Suite]:
    """`tallystick up` on an empty directory, shared by all workers; the books must verify after each one's tests."""

    def start(directory: Path, alive_fd: int) -> tuple[Child, dict[str, Any]]:
        child, suite = start_suite(directory, owner_pid=controller_pid(pytestconfig), held_fds=[alive_fd])
        return child, {"data": str(suite.data), "port_base": suite.port_base}

    facts = shared_server(pytestconfig, "suite", start)
    running = Suite(Path(facts["data"]), facts["port_base"])
    yield running
    running.wait_until_verified()
    for command in ("violations", "verify"):
        done = running.tallystick("ledger", command)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def user() -> str:
    """Somebody whom the suite has never heard of."""
    return new_user()


def new_user() -> str:
    """A new user's id."""
    return f"u{secrets.token_hex(6)}"


@pytest.fixture
async def coins(suite: Suite) -> AsyncIterator[AsyncClient]:
    """The backend of the AI Coins bot."""
    async with suite.client("coins") as client:
        yield client


@pytest.fixture
async def metered(suite: Suite) -> AsyncIterator[AsyncClient]:
    """The backend of an app with a model."""
    await configured(suite)
    async with suite.client(APP) as client:
        yield client


@pytest.fixture
async def studio(suite: Suite) -> AsyncIterator[AsyncClient]:
    """The backend of Forsion AI Studio."""
    async with suite.client("studio") as client:
        yield client


@pytest.fixture
async def studio_admin(suite: Suite) -> AsyncIterator[AsyncClient]:
    """An administrator of Forsion AI Studio."""
    async with suite.client("studio", "admin") as client:
        yield client


@pytest.fixture
async def service(suite: Suite) -> AsyncIterator[Http]:
    """Bare HTTP as the backend of the AI Coins bot."""
    async with suite.http("coins") as http:
        yield http


@pytest.fixture
async def admin(suite: Suite) -> AsyncIterator[Http]:
    """Bare HTTP as an administrator of the AI Coins bot."""
    async with suite.http("coins", "admin") as http:
        yield http
