"""PostgreSQL: a pool and single connections with the limits that every service keeps."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar
from urllib.parse import urlsplit

import asyncpg
from asyncpg.pool import PoolConnectionProxy
from pydantic import SecretStr

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record]
    AnyConnection: TypeAlias = Connection | PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection
    AnyConnection = asyncpg.Connection | PoolConnectionProxy

T = TypeVar("T")
logger = logging.getLogger(__name__)

STATEMENT_TIMEOUT_MS = 30_000
IDLE_IN_TRANSACTION_TIMEOUT_MS = 60_000
CONNECT_TIMEOUT_S = 5.0
QUERIES_MAX = 100_000_000
ANSWER_MARGIN_S = 1.0
"""How long after the server's own time-out a statement's answer is waited for: then the link has lost it."""

KEEPALIVE = {"TCP_KEEPIDLE": 5, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 10_000}
"""By which a peer that vanished without a word is noticed within about ten seconds; seconds, a count, milliseconds."""

WAIT_S = 30.0
CLOSE_S = 5.0
"""How long a pool waits for connections that are in use, before it cuts them."""
_RETRY_S = 0.2
NOT_YET = (OSError, asyncio.TimeoutError, asyncpg.CannotConnectNowError, asyncpg.TooManyConnectionsError)


def reveal(dsn: SecretStr | str) -> str:
    """The text of a DSN that may be wrapped as a secret; ValueError when a sign in its password was not quoted.

    Otherwise the driver would take a part of the password for a port or a database, and name it in its error.
    """
    text = dsn.get_secret_value() if isinstance(dsn, SecretStr) else dsn
    try:
        parts = urlsplit(text)
        sound = (parts.port or 0) >= 0 and "@" not in f"{parts.path}{parts.query}{parts.fragment}"
    except ValueError:
        sound = False
    if not sound:
        raise ValueError("the address of the database cannot be read: signs in its password must be percent-encoded")
    return text


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

    `statement_timeout_ms` = 0 means none. Where the link loses an answer, TimeoutError comes soon after that time, and
    the connection is given up. `settings` are further settings of PostgreSQL for its sessions.
    """

    async def make() -> Pool:
        return await asyncpg.create_pool(
            reveal(dsn),
            min_size=size_min,
            max_size=size_max,
            max_queries=QUERIES_MAX,
            init=_keep_alive,
            reset=_leave,
            timeout=CONNECT_TIMEOUT_S,
            command_timeout=statement_timeout_ms / 1000 + ANSWER_MARGIN_S if statement_timeout_ms else None,
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
        connection = await asyncpg.connect(
            reveal(dsn),
            timeout=CONNECT_TIMEOUT_S,
            server_settings=_server_settings(application_name, statement_timeout_ms),
        )
        await _keep_alive(connection)
        return connection

    return await _wait_for(make, wait_s)


async def _keep_alive(connection: Connection) -> None:
    """Have the kernel notice a server that is gone; the options are those that this system has."""
    found = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined] # missing in the stubs
    if found is None or found.family == getattr(socket, "AF_UNIX", None):
        return
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):
            found.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


async def ping(pool: Pool) -> None:
    """Raises unless the database answers; a check for `/readyz`."""
    await pool.fetchval("SELECT 1")


async def close_pool(pool: Pool) -> None:
    """Close a pool; connections that are still busy are cut."""
    try:
        async with asyncio.timeout(CLOSE_S):
            await pool.close()
    except TimeoutError:
        pool.terminate()


def _server_settings(application_name: str, statement_timeout_ms: int) -> dict[str, str]:
    return {
        "application_name": application_name,
        "timezone": "UTC",
        "statement_timeout": str(statement_timeout_ms),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_TIMEOUT_MS),
        # The server notices a client that is gone as we notice the server; locks are not held for hours.
        "tcp_keepalives_idle": str(KEEPALIVE["TCP_KEEPIDLE"]),
        "tcp_keepalives_interval": str(KEEPALIVE["TCP_KEEPINTVL"]),
        "tcp_keepalives_count": str(KEEPALIVE["TCP_KEEPCNT"]),
        "tcp_user_timeout": str(KEEPALIVE["TCP_USER_TIMEOUT"]),
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
