"""The core of a process, opened and closed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path

from libs.events.db import Connection
from libs.events.ids import UlidSource
from libs.events.outbox import Outbox
from libs.service.clock import Clock, LateClocks
from libs.service.configs import Applied, Configs
from libs.service.db import close_pool, create_pool
from services.codes.core import SOURCE, Core
from services.codes.domain.specs import ConfigDocument
from services.codes.handlers.samples import take_config
from services.codes.settings import CodesSettings

PEPPER_BYTES_MIN = 32


class PepperError(ValueError):
    """The pepper is not one."""


def read_pepper(path: Path) -> bytes:
    """The secret in a file, without the space around it. It is never made here: a new one would find no stored code."""
    try:
        pepper = path.read_bytes().strip()
    except OSError as error:
        raise PepperError(f"TALLYSTICK_CODES_PEPPER_FILE: {path} cannot be read: {error.strerror}") from error
    if len(pepper) < PEPPER_BYTES_MIN:
        raise PepperError(f"TALLYSTICK_CODES_PEPPER_FILE: {path} has fewer than {PEPPER_BYTES_MIN} bytes")
    return pepper


@asynccontextmanager
async def core_of(
    settings: CodesSettings, clock: Clock, clocks: LateClocks, application_name: str
) -> AsyncIterator[Core]:
    """The core, with what is known of apps so far."""
    pepper = read_pepper(settings.pepper_path)
    async with AsyncExitStack() as stack:
        pool = await create_pool(
            settings.dsn,
            application_name=application_name,
            size_max=settings.pool_max,
            settings={"lock_timeout": str(settings.lock_timeout_ms)},
        )
        stack.push_async_callback(close_pool, pool)
        # Clocks are read in the middle of transactions. By a connection of their own: otherwise as many transactions
        # as there are connections would all wait for one more.
        clock_pool = await create_pool(settings.dsn, application_name=f"{application_name}-clocks", size_max=1)
        stack.push_async_callback(close_pool, clock_pool)

        async def take(
            connection: Connection, before: Applied[ConfigDocument], after: Applied[ConfigDocument], actor: str
        ) -> None:
            await take_config(core, connection, before, after, actor)

        configs = Configs(pool, ConfigDocument, _clock_start, take)
        clocks.open(clock_pool, configs.clock_start, clock, lambda _app: None)
        outbox = Outbox(SOURCE, settings.partitions, clock.now_us)
        core = Core(settings, clock, pool, configs, clocks, outbox, pepper, UlidSource())
        await configs.refresh()
        await clocks.load()
        yield core


def _clock_start(document: ConfigDocument) -> datetime | None:
    return None if document.test_mode is None else document.test_mode.clock_start
