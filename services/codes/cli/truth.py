"""`tallystick codes verify`."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from libs.service.cli_database import database_of, run
from libs.service.cli_support import EXIT_FOUND, cli_settings
from libs.service.db import connect
from libs.service.settings import ServiceSettings, load_settings
from services.codes.core import SOURCE
from services.codes.store.verifying import Difference, differences

SHOWN_MAX = 50


class DatabaseSettings(ServiceSettings):
    """Where the database of codes is, when it is not the one of this machine."""

    model_config = SettingsConfigDict(env_prefix="TALLYSTICK_CODES_")

    dsn: SecretStr | None = Field(None, description="The database, as the runtime role.")


def verify() -> None:
    """Add up all counters, balances, budgets and entitlements from the redemptions, as of now, while the service may
    go on running. Names what differs, and ends with 1 if anything does."""
    configured = load_settings(DatabaseSettings).dsn
    found = run(_differences(database_of(cli_settings(), SOURCE, configured, SOURCE, "TALLYSTICK_CODES_DSN")))
    for difference in found[:SHOWN_MAX]:
        print(difference)
    if len(found) > SHOWN_MAX:
        print(f"… and {len(found) - SHOWN_MAX} more")
    if found:
        print(f"{len(found)} things do not add up.")
        raise typer.Exit(EXIT_FOUND)
    print("Everything adds up.")


async def _differences(dsn: str) -> Sequence[Difference]:
    connection = await connect(dsn, application_name="tallystick codes verify")
    try:
        return await differences(connection)
    finally:
        await connection.close()
