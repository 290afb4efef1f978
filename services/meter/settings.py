"""Settings of the metering proxy."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from libs.events.failpoints import parse
from libs.service.settings import PORTS, ServiceSettings


class MeterSettings(ServiceSettings):
    """What the proxy is configured with."""

    model_config = SettingsConfigDict(env_prefix="TALLYSTICK_METER_")

    upstream: str = Field(
        pattern=r"^https?://",
        description="The OpenAI-compatible API behind the proxy, with or without `/v1` at its end.",
    )
    upstream_key: SecretStr | None = Field(
        None, description="Bearer token for the upstream. Callers never see it. Unset: none is sent."
    )
    upstream_key_file: Path | None = Field(
        None, description="File with that token, read at the start; in place of the token itself."
    )
    host: str = Field("127.0.0.1", description="Address to listen on.")
    listen_port: int | None = Field(
        None,
        ge=1,
        le=65535,
        validation_alias="TALLYSTICK_METER_PORT",
        description="HTTP port. Default: `TALLYSTICK_PORT_BASE` + 6.",
    )
    ledger_url: str | None = Field(
        None,
        validation_alias="TALLYSTICK_LEDGER_URL",
        description="Where the ledger is. Default: its port on this machine.",
    )
    token: SecretStr | None = Field(
        None,
        description="Token of role `service` that the proxy shows the ledger, for all apps that it serves. "
        "Default: signed with this machine's key, which `production` has not.",
    )
    token_file: Path | None = Field(
        None, description="File with that token, read again whenever it has expired; in place of the token itself."
    )
    asset: str | None = Field(None, description="Asset that calls are paid in. Default: the app's default one.")
    spent_on: str | None = Field(
        None, description="Service that calls are spent on, for credits with a scope. Default: none."
    )
    counter: str = Field(
        "services.meter.domain.tokens:by_length",
        description="Function `(model, text) -> tokens`, as `package.module:name`, that counts where the upstream "
        "does not tell.",
    )
    step_tokens: int = Field(
        256, ge=1, le=1_000_000, description="Tokens of a streamed answer that are held at first, and more each time."
    )
    output_tokens_max: int = Field(
        4096,
        ge=1,
        description="Tokens that an answer in one piece may have when its request names no limit; they are held.",
    )
    limit_field: Literal["max_tokens", "max_completion_tokens"] = Field(
        "max_tokens", description="Field by which such an answer is limited."
    )
    hold_ttl_s: int = Field(
        120, ge=2, le=86_400, description="Seconds that a hold lasts; it is extended while its call runs."
    )
    late: Literal["charge", "drop"] = Field(
        "charge",
        description="What happens to the usage of a call whose hold has ended before it could be captured: "
        "`charge` the account once, or `drop` it.",
    )
    passed: list[str] = Field(
        ["GET /v1/models", "GET /v1/models/{id}"],
        description="Further routes that are passed on and cost nothing, as `METHOD /path`; `{…}` is one segment.",
    )
    calls_max: int = Field(500, ge=1, description="Calls at once; more are answered 429.")
    body_bytes_max: int = Field(16 * 1024 * 1024, ge=1024, description="Longest request body.")
    answer_bytes_max: int = Field(64 * 1024 * 1024, ge=1024, description="Longest answer in one piece.")
    connect_s: float = Field(10.0, gt=0, description="Seconds in which the upstream must be reached.")
    silence_s: float = Field(120.0, gt=0, description="Seconds that the upstream may be silent.")
    call_s_max: float = Field(900.0, gt=0, description="Seconds that a call may take; then it is cut.")
    settle_wait_s: float = Field(
        2.0, ge=0, description="Seconds that the end of an answer waits for the capture, which goes on afterwards."
    )
    ledger_s: float = Field(5.0, gt=0, description="Seconds in which the ledger must answer, retries included.")
    journal: Path | None = Field(
        None,
        description="Directory of the journal of calls, of one proxy alone. Default: `meter` in the data directory.",
    )
    journal_bytes_max: int = Field(
        64 * 1024 * 1024, ge=4096, description="Length from which the journal is rewritten with its open calls alone."
    )
    failpoints: str = Field(
        "",
        validation_alias="TALLYSTICK_FAILPOINTS",
        description="For trials: places where the process dies, stops or loses a connection, "
        "`name=kill|exit|stop|raise[@n|@p%[:seed]];…`. Refused in `production`.",
    )

    @model_validator(mode="after")
    def _fit_for_production(self) -> Self:
        if self.env == "production":
            if self.failpoints:
                raise ValueError("TALLYSTICK_FAILPOINTS is for trials: not when TALLYSTICK_ENV=production")
            if self.token is None and self.token_file is None:
                raise ValueError("TALLYSTICK_METER_TOKEN or TALLYSTICK_METER_TOKEN_FILE must be set in production")
        parse(self.failpoints)
        return self

    @property
    def upstream_token(self) -> str | None:
        """What the proxy shows the upstream, if it shows anything."""
        if self.upstream_key_file is not None:
            return self.upstream_key_file.read_text().strip()
        return None if self.upstream_key is None else self.upstream_key.get_secret_value()

    @property
    def port(self) -> int:
        """The HTTP port."""
        return self.listen_port or super().port

    @property
    def upstream_root(self) -> str:
        """The upstream's address without `/v1` and without a slash at its end."""
        return self.upstream.rstrip("/").removesuffix("/v1")

    @property
    def ledger(self) -> str:
        """The ledger's address."""
        return (self.ledger_url or f"http://127.0.0.1:{self.port_base + PORTS['ledger']}").rstrip("/")

    @property
    def journal_dir(self) -> Path:
        """Where the journal lies."""
        return self.journal or self.data / "meter"
