"""How the commands reach the ledger's database and its anchors."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from libs.service.cli_database import database_of
from libs.service.cli_support import EXIT_USAGE, CliError, CliSettings, cli_settings, signing_key
from libs.service.keys import read_jwks
from libs.service.settings import ServiceSettings, load_settings
from services.ledger.anchors import AnchorPlace, anchor_directory, find_anchor_key

WAIT_S = 3.0
"""Seconds that a command waits for a database that is just starting."""


class DatabaseSettings(ServiceSettings):
    """Where the ledger's database and its anchors are, when it is not the one of this machine."""

    model_config = SettingsConfigDict(env_prefix="TALLYSTICK_LEDGER_")

    dsn: SecretStr | None = Field(None, description="The database, as the runtime role.")
    owner_dsn: SecretStr | None = Field(None, description="The database, as its owner: for `rebuild` and `migrate`.")
    anchors: Path | None = Field(None, description="Directory of the anchors. Default: `<TALLYSTICK_DATA>/anchors`.")
    anchor_key: Path | None = Field(
        None,
        description="Private key to sign anchors with, or a folder: the newest there. "
        "Default: `<TALLYSTICK_DATA>/keys`.",
    )
    anchor_jwks_file: Path | None = Field(
        None, description="Public keys to check anchors with. Default: those of tokens."
    )


class Access:
    """What a command of the ledger's needs to know about where it runs."""

    def __init__(self) -> None:
        self.settings: CliSettings = cli_settings()
        self._database = load_settings(DatabaseSettings)

    @property
    def dsn(self) -> str:
        """The database as the runtime role."""
        return self._dsn(self._database.dsn, "ledger", "TALLYSTICK_LEDGER_DSN")

    @property
    def owner_dsn(self) -> str:
        """The database as its owner."""
        return self._dsn(self._database.owner_dsn, "ledger_owner", "TALLYSTICK_LEDGER_OWNER_DSN")

    @property
    def anchors(self) -> Path:
        """The directory of the anchors."""
        return anchor_directory(self._database.anchors, self.settings.data)

    @property
    def anchor_key(self) -> Path:
        """The private key that anchors are signed with."""
        configured = self._database.anchor_key
        if configured is None:
            return signing_key(self.settings)
        key = find_anchor_key(configured, self.settings.data)
        if key is None:
            raise CliError(f"there is no key in {configured}, which TALLYSTICK_LEDGER_ANCHOR_KEY names", EXIT_USAGE)
        return key

    @property
    def anchor_place(self) -> AnchorPlace:
        """The anchors with the keys to check them."""
        file = self._database.anchor_jwks_file or self.settings.jwks_file
        try:
            return AnchorPlace(self.anchors, read_jwks(file))
        except FileNotFoundError:
            return AnchorPlace(self.anchors, {})
        except ValueError as error:
            raise CliError(str(error), EXIT_USAGE) from None

    def _dsn(self, configured: SecretStr | None, role: str, variable: str) -> str:
        return database_of(self.settings, "ledger", configured, role, variable)
