"""What messaging needs to know about PostgreSQL connections."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

if TYPE_CHECKING:
    Pool: TypeAlias = asyncpg.Pool[asyncpg.Record]
    Connection: TypeAlias = asyncpg.Connection[asyncpg.Record] | PoolConnectionProxy[asyncpg.Record]
else:
    Pool = asyncpg.Pool
    Connection = asyncpg.Connection | PoolConnectionProxy

MIGRATIONS = ("events", Path(__file__).parent / "migrations")
"""The tables of messaging, as a source for the migration runner."""


class Fenced(Exception):
    """Another process has taken over what this one was doing; stop."""


def changed(status: str) -> int:
    """How many rows a command changed, from its status (`UPDATE 3`)."""
    return int(status.rpartition(" ")[2])
