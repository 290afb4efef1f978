"""What every test of the project starts from: asyncio under anyio, no network beyond this machine, shared servers."""

import hypothesis
import pytest
from hypothesis import settings

# A loaded machine is slow, which is no failure of what is tested. Trials that have a profile of their own keep it.
settings.register_profile("patient", deadline=None)
if settings.get_current_profile_name() == "default":
    settings.load_profile("patient")

pytest_plugins = ["tests.plugins.shared", "tests.plugins.postgres", "tests.plugins.kafka"]


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """Lets pytest-socket block every address but the loopback interface's and unix sockets; examples may take long."""
    config.option.allow_hosts = "127.0.0.1,::1"
    config.option.allow_unix_socket = True
    # How long an example takes on a busy machine says nothing about the code.
    hypothesis.settings.register_profile("patient", deadline=None)
    hypothesis.settings.load_profile("patient")


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Async tests run on asyncio; session-wide, so that fixtures of any scope may be async."""
    return "asyncio"
