"""PostgreSQL: a pool and single connections with the limits that every service keeps."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import asyncpg
from pydantic import SecretStr

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection

T = TypeVar("T")
logger = logging.getLogger(__name__)

STATEMENT_TIMEOUT_MS = 30_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
CONNECT_TIMEOUT_S = 5.0
QUERIES_MAX = 100_000_000
WAIT_S = 30.0
_RETRY_S = 0.2
NOT_YET = (OSError, asyncio.TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)


def reveal(dsn: SecretStr | str) -> str:
    """The text of a DSN that may be wrapped as a secret."""
    return dsn.get_secret_value() if isinstance(dsn, SecretStr) else dsn


async def create_pool(
    dsn: SecretStr | str,
    *,
    application_name: str,
    size_min: int = 1,
    size_max: int = 10,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    settings: Mapping[str, str] | None = None,
    wait_s: float = WAIT_S,
) -> Pool:
    """A pool of connections; waits up to `wait_s` seconds for a server that is still starting, then raises.

    `statement_timeout_ms` = 0 means none. `settings` are further settings of PostgreSQL for its sessions.
    """

    async def make() -> Pool:
        return await asyncpg.create_pool(
            reveal(dsn),
            min_size=size_min,
            max_size=size_max,
            max_queries=QUERIES_MAX,
            reset=_leave,
            timeout=CONNECT_TIMEOUT_S,
            server_settings={**_server_settings(application_name, statement_timeout_ms), **(settings or {})},
        )

    return await _wait_for(make, wait_s)


async def _leave(_connection: object) -> None:
    """What a connection goes through when it returns to its pool: nothing, and so no round trip.

    The driver has ended any transaction by then; settings, cursors and advisory locks of a session are never used.
    """


async def connect(
    dsn: SecretStr | str,
    *,
    application_name: str,
    statement_timeout_ms: int = STATEMENT_TIMEOUT_MS,
    wait_s: float = WAIT_S,
) -> Connection:
    """One connection outside any pool, for a writer, a listener or a migration; waits as :func:`create_pool`."""

    async def make() -> Connection:
        return await asyncpg.connect(
            reveal(dsn),
            timeout=CONNECT_TIMEOUT_S,
            server_settings=_server_settings(application_name, statement_timeout_ms),
        )

    return await _wait_for(make, wait_s)


async def ping(pool: Pool) -> None:
    """Raises unless the database answers; a check for `/readyz`."""
    await pool.fetchval("SELECT 1")


def _server_settings(application_name: str, statement_timeout_ms: int) -> dict[str, str]:
    return {
        "application_name": application_name,
        "timezone": "UTC",
        "statement_timeout": str(statement_timeout_ms),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
    }


async def _wait_for(make: Callable[[], Awaitable[T]], wait_s: float) -> T:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + wait_s
    said = False
    while True:
        try:
            return await make()
        except NOT_YET as error:
            if loop.time() + _RETRY_S > deadline:
                raise
            if not said:
                logger.info("waiting for the database", extra={"error": type(error).__name__})
                said = True
            await asyncio.sleep(_RETRY_S)
