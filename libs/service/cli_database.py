"""How commands reach a service's database: by its setting, or as `make run` keeps it on this machine.

The embedded server listens on the base port + 32 and keeps `<data>/postgres/passwords.json`, an object of role to
password; a service's database is named as it is, and so is its runtime role.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar
from urllib.parse import quote

import asyncpg
import orjson
from pydantic import SecretStr

from libs.service.cli_support import EXIT_UNREACHABLE, CliError, CliSettings
from libs.service.settings import PORTS

T = TypeVar("T")


def database_of(settings: CliSettings, service: str, configured: SecretStr | None, role: str, variable: str) -> str:
    """The address of a service's database for `role`: what `variable` has `configured`, or this machine's."""
    if configured is not None:
        return configured.get_secret_value()
    file = settings.data / "postgres" / "passwords.json"
    try:
        password = orjson.loads(file.read_bytes())[role]
    except (OSError, ValueError, KeyError):
        raise CliError(
            f"no {service} is found: set {variable}, or start one on this machine with `make run` "
            f"({file} does not name {role})",
            EXIT_UNREACHABLE,
        ) from None
    port = settings.port_base + PORTS["postgres"]
    return f"postgresql://{role}:{quote(password, safe='')}@127.0.0.1:{port}/{service}"


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's work; a database that cannot be reached ends it with 3, and Ctrl-C quietly."""
    try:
        return asyncio.run(work)
    except (TimeoutError, OSError, asyncpg.InterfaceError) as error:
        raise CliError(f"the database does not answer: {error or type(error).__name__}", EXIT_UNREACHABLE) from None
    except LookupError as error:
        raise CliError(str(error), EXIT_UNREACHABLE) from None
    except asyncpg.LockNotAvailableError:
        raise
    except asyncpg.PostgresError as error:
        raise CliError(f"the database refused: {error}", EXIT_UNREACHABLE) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None
