"""Configurations of apps: how versions are told apart and compared, and where a service keeps them.

The ledger keeps its own in its log; all others in the table of :data:`libs.service.migrations.RECORDS_SOURCE`.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Generic, TypeVar

import asyncpg
from pydantic import BaseModel
from starlette.requests import Request

from libs.service.clock import from_datetime
from libs.service.db import AnyConnection, Pool
from libs.service.problems import Problem, invalid

D = TypeVar("D", bound=BaseModel)

_VERSION = re.compile(r'"([0-9]{1,9})"', re.ASCII)


class VersionMismatch(Problem):
    """Somebody else has applied a version meanwhile."""

    status = 412
    code = "version_mismatch"
    title = "The configuration is not at this version"
    next = "Read it again with GET /v1/config and send the version of its ETag."


class ConfigConflict(Problem):
    """The configuration cannot follow the one before it."""

    status = 409
    code = "config_conflict"
    title = "This cannot be changed"
    next = "Leave what the detail names as it was."


def differences(before: Any, after: Any, path: str = "") -> list[dict[str, Any]]:
    """What changes between two documents: a list of {path, before, after}, in order of the paths."""
    if isinstance(before, dict) and isinstance(after, dict):
        return [
            change
            for key in sorted(before.keys() | after.keys())
            for change in differences(before.get(key), after.get(key), f"{path}.{key}" if path else key)
        ]
    return [] if before == after else [{"path": path, "before": before, "after": after}]


def canonical_data(document: BaseModel) -> dict[str, Any]:
    """The document as JSON data, defaults left out."""
    return document.model_dump(mode="json", exclude_defaults=True)


def expected_version(request: Request) -> int | None:
    """The version on top of which alone a configuration is to be applied, from the header If-Match."""
    header = request.headers.get("if-match")
    if header is None:
        return None
    match = _VERSION.fullmatch(header)
    if match is None:
        raise invalid("invalid_if_match", "If-Match", 'A version in quotes, such as "3", as ETag gives it.')
    return int(match[1])


def version_tag(version: int) -> dict[str, str]:
    """The header that tells a version."""
    return {"ETag": f'"{version}"'}


@dataclass(frozen=True, slots=True)
class Applied(Generic[D]):
    """One version of an app's configuration; 0 is what an app has that was never configured."""

    app: str
    version: int
    document: D


class Configs(Generic[D]):
    """Every app's configuration as this process knows it, and the table it is in.

    `model` must be valid without any field: that is the configuration of an app that has none. `clock_start` says when
    the clock of an app in test mode starts. `take` makes a new version's effects in its transaction, and refuses what
    cannot follow the version before it by :class:`ConfigConflict`.
    """

    def __init__(
        self,
        pool: Pool,
        model: type[D],
        clock_start: Callable[[D], datetime | None],
        take: Callable[[AnyConnection, Applied[D], Applied[D], str], Awaitable[None]],
    ) -> None:
        self._pool = pool
        self._model = model
        self._clock_start = clock_start
        self._take = take
        self._default = model()
        self._known: dict[str, Applied[D]] = {}

    def get(self, app: str) -> Applied[D]:
        """The app's configuration, as far as it was heard of."""
        return self._known.get(app) or Applied(app, 0, self._default)

    def clock_start(self, app: str) -> int | None:
        """When the clock of an app in test mode starts, microseconds since the epoch; None for others."""
        start = self._clock_start(self.get(app).document)
        return None if start is None else from_datetime(start)

    def test_apps(self) -> list[str]:
        """The apps in test mode."""
        return [app for app in self._known if self.clock_start(app) is not None]

    async def refresh(self) -> None:
        """Read what is new: another process may have applied it."""
        rows = await self._pool.fetch(
            "SELECT DISTINCT ON (app) app, version, document FROM configs"
            " WHERE NOT EXISTS (SELECT FROM unnest($1::text[], $2::int[]) AS k(a, v) WHERE a = app AND v >= version)"
            " ORDER BY app, version DESC",
            list(self._known),
            [config.version for config in self._known.values()],
        )
        for row in rows:
            self._hear(Applied(row["app"], row["version"], self._model.model_validate_json(row["document"])))

    async def apply(self, app: str, document: D, expected: int | None, actor: str, now_us: int) -> Applied[D]:
        """The document in force, as a new version unless it is so already.

        :class:`VersionMismatch` if the version before it is not the `expected` one, or whatever `take` refuses.
        """
        try:
            applied = await self._insert(app, document, expected, actor, now_us)
        except asyncpg.UniqueViolationError as error:
            raise VersionMismatch from error
        self._hear(applied)
        return applied

    async def _insert(self, app: str, document: D, expected: int | None, actor: str, now_us: int) -> Applied[D]:
        async with self._pool.acquire() as connection, connection.transaction():
            row = await connection.fetchrow(
                "SELECT version, document FROM configs WHERE app = $1 ORDER BY version DESC LIMIT 1", app
            )
            before = Applied(app, 0, self._default)
            if row is not None:
                before = Applied(app, row["version"], self._model.model_validate_json(row["document"]))
            if expected is not None and expected != before.version:
                raise VersionMismatch(f"The configuration is at version {before.version}.")
            if before.document == document:
                return before
            applied = Applied(app, before.version + 1, document)
            await connection.execute(
                "INSERT INTO configs (app, version, document, applied_at, actor) VALUES ($1, $2, $3, $4, $5)",
                app,
                applied.version,
                document.model_dump_json(exclude_defaults=True),
                now_us,
                actor,
            )
            await self._take(connection, before, applied, actor)
        return applied

    def _hear(self, applied: Applied[D]) -> None:
        if applied.version > self.get(applied.app).version:
            self._known[applied.app] = applied
