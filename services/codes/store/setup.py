"""Making the database ready."""

from __future__ import annotations

from pathlib import Path

from pydantic import SecretStr

import libs.events
from libs.service.migrations import RECORDS_SOURCE, SERVICE_SOURCE, MigrationReport, migrate

SOURCES: list[tuple[str, Path]] = [
    SERVICE_SOURCE,
    RECORDS_SOURCE,
    ("events", Path(libs.events.__path__[0]) / "migrations"),
    ("codes", Path(__file__).parent.parent / "migrations"),
]


async def prepare(owner_dsn: SecretStr | str, runtime_role: str | None) -> MigrationReport:
    """Apply what is missing."""
    return await migrate(owner_dsn, SOURCES, runtime_role)
