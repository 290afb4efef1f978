"""Every app's configuration as this process knows it, whether it leads or stands by."""

from __future__ import annotations

from collections.abc import Callable

from libs.service.clock import from_datetime
from libs.service.db import Pool
from services.ledger.domain.config import AppConfig
from services.ledger.store.reads import latest_configs


class Configs:
    """The latest version of each app, with those before it, read again by a job: another shard may have applied one.

    `told` hears of each new version, so that the writer decides by it.
    """

    def __init__(self, pool: Pool, told: Callable[[AppConfig], None]) -> None:
        self._pool = pool
        self._told = told
        self._known: dict[str, AppConfig] = {}

    def get(self, app: str) -> AppConfig | None:
        """The app's configuration, or None if it was never applied or not heard of yet."""
        return self._known.get(app)

    def clock_start(self, app: str) -> int | None:
        """When the clock of an app in test mode starts, microseconds since the epoch; None for others."""
        config = self._known.get(app)
        if config is None or config.test_clock_start is None:
            return None
        return from_datetime(config.test_clock_start)

    def apps(self) -> list[str]:
        """Every app."""
        return list(self._known)

    def test_apps(self) -> list[str]:
        """The apps in test mode."""
        return [app for app, config in self._known.items() if config.test_clock_start is not None]

    async def refresh(self) -> None:
        """Read what is new."""
        found = await latest_configs(self._pool, self._known)
        for app, config in found.items():
            known = self._known.get(app)
            if known is None or known.version < config.version:
                self._known[app] = config
                self._told(config)

    async def all(self) -> dict[str, AppConfig]:
        """Everything, read again: what a new writer starts from."""
        await self.refresh()
        return dict(self._known)
