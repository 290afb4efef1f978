"""The script that prepares the PostgreSQL container, run on a server of ours."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from deploy.embedded.admin import installation
from deploy.embedded.ports import free_port
from deploy.embedded.postgres import PostgresServer
from tests.deploy.compose import ROOT

pytestmark = [pytest.mark.anyio, pytest.mark.postgres]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PostgresServer]:
    made = PostgresServer(tmp_path / "postgres", free_port(), fsync=False)
    made.start()
    yield made
    made.stop()
    made.destroy()


async def test_it_makes_each_service_its_database_and_roles(server: PostgresServer) -> None:
    environment = {
        "PATH": f"{installation() / 'bin'}:{os.environ['PATH']}",
        "PGHOST": "127.0.0.1",
        "PGPORT": str(server.port),
        "PGPASSWORD": server.admin.password,
        "POSTGRES_USER": "postgres",
        "LEDGER_OWNER_PASSWORD": "owner's",
        "LEDGER_PASSWORD": "runtime's",
        "CODES_OWNER_PASSWORD": "its owner's",
        "CODES_PASSWORD": "its runtime's",
    }
    subprocess.run([ROOT / "deploy/postgres/10-services.sh"], env=environment, check=True)  # noqa: ASYNC221
    place = f"postgresql://127.0.0.1:{server.port}/ledger"
    owner = await asyncpg.connect(place, user="ledger_owner", password="owner's")
    await owner.execute("CREATE TABLE things (id int)")
    await owner.close()
    runtime = await asyncpg.connect(place, user="ledger", password="runtime's")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await runtime.fetch("SELECT * FROM things")
    await runtime.close()
