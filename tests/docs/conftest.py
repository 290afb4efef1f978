"""A suite of its own for the pages, because they show what a new one answers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from deploy.embedded.child import Child
from tests.docs.walkthrough import Reader, reader
from tests.e2e.suite import start_suite
from tests.plugins.shared import controller_pid, shared_server


@pytest.fixture(scope="session")
def at_a_new_suite(pytestconfig: pytest.Config) -> Reader:
    """Somebody who has just started the suite on an empty directory."""

    def start(directory: Path, alive_fd: int) -> tuple[Child, dict[str, Any]]:
        child, suite = start_suite(directory, owner_pid=controller_pid(pytestconfig), held_fds=[alive_fd])
        return child, {"data": str(suite.data), "port_base": suite.port_base}

    facts = shared_server(pytestconfig, "docs-suite", start)
    return reader(Path(facts["data"]), facts["port_base"])
