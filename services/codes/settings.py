"""Settings of the codes service."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from libs.events.failpoints import parse
from libs.events.partition import PARTITIONS_DEFAULT, PARTITIONS_MAX
from libs.service.db import reveal
from libs.service.settings import PORTS, ServiceSettings

WORKER_OFFSET = 100
"""How far above the port of HTTP the worker answers for its health and its metrics."""


class CodesSettings(ServiceSettings):
    """What a process of the codes service needs to know."""

    model_config = SettingsConfigDict(env_prefix="TALLYSTICK_CODES_")

    dsn: SecretStr = Field(description="The database, as the runtime role, which owns nothing.")
    owner_dsn: SecretStr | None = Field(None, description="The database, as its owner: for `migrate` only.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    listen_port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        validation_alias="TALLYSTICK_CODES_PORT",
        description="Port to listen on. Default: `TALLYSTICK_PORT_BASE` + 3; the worker listens 100 above it.",
    )
    partitions: int = Field(
        PARTITIONS_DEFAULT, ge=1, le=PARTITIONS_MAX, description="Partitions of the ledger's log: the same number."
    )
    ledger_address: str | None = Field(
        None,
        validation_alias="TALLYSTICK_LEDGER_URL",
        description="Where the ledger is reached, for its feed and for balances. Default: its port on this machine.",
    )
    payments_url: str | None = Field(
        None,
        validation_alias="TALLYSTICK_PAYMENTS_URL",
        description="Where payments are reached. Where it is not set, nothing is heard of payments.",
    )
    pepper_file: Path | None = Field(
        None,
        description="The secret under which codes are stored: a file of 32 bytes or more. No stored code is found "
        "again without it. Default: `keys/codes.pepper` in the data directory.",
    )
    signing_key: Path | None = Field(
        None,
        description="Private key that the service's own tokens for the ledger and payments are signed with, or a "
        "folder: the newest there. Default: `keys` in the data directory.",
    )
    pool_max: int = Field(10, ge=2, description="Connections to the database.")
    lock_timeout_ms: int = Field(2000, ge=1, description="Milliseconds that a write waits for another one's locks.")
    body_bytes_max: int = Field(65_536, ge=1024, description="Bytes of a request's body.")
    answer_s: float = Field(3.0, gt=0, description="Seconds that a redemption waits for the ledger before 202.")
    balance_s: float = Field(1.0, gt=0, description="Seconds that a redemption's answer waits for the new balance.")
    news_s: float = Field(1.0, gt=0, description="Seconds between looks for configurations and clocks set elsewhere.")
    batch_chunk: int = Field(5000, ge=1, le=100_000, description="Codes of a batch that are made, or voided, at once.")
    sheet_codes_max: int = Field(2000, ge=1, description="Codes on one printed sheet, which is made whole in memory.")
    fonts: Path | None = Field(None, description="A folder of fonts for printed sheets, beside those of the system.")
    expiry_s: float = Field(
        1.0, gt=0, description="Seconds between looks for what time has ended: reservations, holds of rewards."
    )
    key_days: int = Field(35, ge=1, description="Days for which answers are kept under their idempotency keys.")
    failpoints: str = Field(
        "",
        validation_alias="TALLYSTICK_FAILPOINTS",
        description="For trials: places where the process dies, stops or loses a connection, "
        "`name=kill|exit|stop|raise[@n|@p%[:seed]];…`. Refused in `production`.",
    )

    @model_validator(mode="after")
    def _no_failpoints_in_production(self) -> Self:
        if self.failpoints and self.env == "production":
            raise ValueError("TALLYSTICK_FAILPOINTS is for trials: it must not be set when TALLYSTICK_ENV=production")
        parse(self.failpoints)
        return self

    @property
    def port(self) -> int:
        """The HTTP port."""
        return self.listen_port or super().port

    @property
    def ledger_url(self) -> str:
        """The ledger's address, without a slash at the end."""
        return (self.ledger_address or f"http://127.0.0.1:{self.port_base + PORTS['ledger']}").rstrip("/")

    @property
    def pepper_path(self) -> Path:
        """Where the pepper lies."""
        return self.pepper_file or self.data / "keys" / "codes.pepper"

    @property
    def signing_path(self) -> Path:
        """Where the private key lies, or the folder of them."""
        return self.signing_key or self.data / "keys"

    @property
    def runtime_role(self) -> str | None:
        """The runtime role's name, from its DSN."""
        return urlsplit(reveal(self.dsn)).username
