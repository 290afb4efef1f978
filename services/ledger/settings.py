"""Settings of the ledger."""

from __future__ import annotations

from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from libs.events.failpoints import parse
from libs.events.partition import PARTITIONS_DEFAULT, PARTITIONS_MAX
from libs.service.db import reveal
from libs.service.settings import GRPC_OFFSET, ServiceSettings

_MONEY = [
    "grant_credits",
    "revoke_grant",
    "create_hold",
    "release_hold",
    "refund_charge",
    "freeze_account",
    "unfreeze_account",
]
COMMAND_SOURCES = {
    "payments": [f"ledger.{command}.v1" for command in (*_MONEY, "assign_plan")],
    "codes": ["ledger.grant_credits.v1", "ledger.revoke_grant.v1"],
    "crm": ["ledger.grant_credits.v1", "ledger.revoke_grant.v1"],
    "edge": ["ledger.perform_action.v1"],
}


class LedgerSettings(ServiceSettings):
    """What a process of the ledger needs to know."""

    model_config = SettingsConfigDict(env_prefix="TALLYSTICK_LEDGER_")

    dsn: SecretStr = Field(description="The database, as the runtime role, which owns nothing.")
    owner_dsn: SecretStr | None = Field(None, description="The database, as its owner: for `migrate` only.")
    host: str = Field("127.0.0.1", description="Address to listen on.")
    listen_port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        validation_alias="TALLYSTICK_LEDGER_PORT",
        description="Port to listen on. Default: `TALLYSTICK_PORT_BASE` + 1.",
    )
    grpc_listen_port: int | None = Field(
        None,
        ge=0,
        le=65_535,
        validation_alias="TALLYSTICK_LEDGER_GRPC_PORT",
        description="Port of gRPC, 0 for none. Default: the port of HTTP + 1000.",
    )
    grpc_calls_max: int = Field(2048, ge=1, description="Calls of gRPC, streams among them, that may be open at once.")
    grpc_streams_max: int = Field(256, ge=1, description="Calls of gRPC that may be open on one connection.")
    grpc_outstanding_max: int = Field(
        1000, ge=1, description="Commands of one gRPC stream under way from which on no further message of it is read."
    )
    grpc_keepalive_s: float = Field(
        60.0, gt=0, description="Seconds after which a silent gRPC connection is asked whether it still lives."
    )
    own_url: str | None = Field(
        None,
        validation_alias="TALLYSTICK_LEDGER_URL",
        description="Where other processes reach the ledger; a process tells it to its peers. "
        "Default: its port on this machine.",
    )
    shard: str = Field("0", pattern=r"^[A-Za-z0-9_-]{1,32}$", description="The shard that this process writes.")
    partitions: int = Field(
        PARTITIONS_DEFAULT,
        ge=1,
        le=PARTITIONS_MAX,
        description="Partitions of the log, when a deployment is initialised; never changes after that.",
    )
    shards: str = Field(
        "0",
        pattern=r"^[A-Za-z0-9_-]{1,32}(,[A-Za-z0-9_-]{1,32})*$",
        description="Shards, comma-separated, that a new deployment's partitions are split among.",
    )
    queue_max: int = Field(4096, ge=1, description="Commands that may wait; what comes beyond is answered 429.")
    batch_max: int = Field(512, ge=1, description="Commands that are appended together at most.")
    accounts_max: int = Field(200_000, ge=1000, description="Accounts kept in memory.")
    body_bytes_max: int = Field(65_536, ge=1024, description="Bytes of a request's body.")
    batch_items_max: int = Field(1000, ge=1, le=10_000, description="Commands in a `POST /v1/batch` at most.")
    batch_bytes_max: int = Field(1_048_576, ge=1024, description="Bytes of the body of a `POST /v1/batch`.")
    pool_max: int = Field(6, ge=2, description="Connections of the writer and the jobs, and as many for reads.")
    key_days: int = Field(35, ge=1, description="Days for which outcomes are kept under their idempotency keys.")
    transfer_wait_s: float = Field(2.0, gt=0, description="Seconds that a transfer waits for its credit before 202.")
    read_wait_s: float = Field(2.0, gt=0, description="Seconds that a read waits for its `min_position` before 503.")
    statistics_s: float = Field(10.0, gt=0, description="Seconds that the statistics may take before 503.")
    explain_events_max: int = Field(
        5000, ge=1, description="Last changes of an account that `explain` adds up; what was before them is one entry."
    )
    stream_poll_s: float = Field(
        0.025, gt=0, description="Seconds between looks at the log's heads while anybody listens to a stream."
    )
    stream_listeners_max: int = Field(2000, ge=1, description="Streams open at a process; 429 beyond.")
    stream_per_user_max: int = Field(8, ge=1, description="Streams of one user's own tokens open at a process.")
    stream_queue_max: int = Field(
        500, ge=1, description="Events that wait for a slow reader in memory; the rest it gets from the log."
    )
    stream_resume_max: int = Field(
        500, ge=0, description="Changes of an account that a resumed stream tells one by one; else only the last state."
    )
    stream_fold_max: int = Field(
        10_000, ge=0, description="Changes that an account may have for the missed ones to be told one by one."
    )
    stream_keep_alive_s: float = Field(
        15.0, gt=0, description="Seconds without an event after which a comment is sent."
    )
    stream_stall_s: float = Field(
        30.0, gt=0, description="Seconds that a reader may take nothing before it is cut off."
    )
    stream_life_s: float = Field(
        3600.0, gt=0, description="Seconds after which a stream ends, for its reader to connect anew."
    )
    stream_retry_ms: int = Field(2000, ge=0, description="Milliseconds that readers are told to wait before that.")
    lease_renew_s: float = Field(1.0, gt=0, description="Seconds between renewals of the writer's lease.")
    lease_answer_s: float = Field(4.0, gt=0, description="Seconds after a renewal for which a writer may answer.")
    lease_stale_s: float = Field(
        5.0, gt=0, description="Seconds without a renewal after which a standby takes over; more than the above."
    )

    command_sources: dict[str, list[str]] = Field(
        COMMAND_SOURCES,
        description="JSON: which commands each service may send over Kafka. Default: what each of the suite needs.",
    )
    command_outstanding_max: int = Field(
        2048, ge=1, description="Commands from Kafka that may be in the writer's hands at once."
    )
    anchors: Path | None = Field(
        None,
        description="Directory for anchors, such as a mounted store. Default: `anchors` in the data directory.",
    )
    anchor_key: Path | None = Field(
        None,
        description="Private key that anchors are signed with, or a folder: the newest there. "
        "Default: `keys` in the data directory.",
    )
    anchor_jwks_file: Path | None = Field(
        None, description="Public keys that anchors are checked with. Default: those of tokens."
    )
    anchor_s: float = Field(60.0, gt=0, description="Seconds between anchors, where something was appended.")
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

    verifier_state: Path | None = Field(
        None,
        description="File in which the verifier keeps what it has folded, one for each verifier. "
        "Default: `verifier/state.sqlite` in the data directory.",
    )
    verifier_share: float = Field(
        0.5, gt=0, le=1, description="Share of the time that the verifier works at most; its pace, when it is behind."
    )
    verifier_poll_s: float = Field(0.2, gt=0, description="Seconds between looks of the verifier for what is new.")
    verifier_rest_s: float = Field(
        60.0, gt=0, description="Seconds that the verifier rests before it looks through everything stored again."
    )
    verifier_events_max: int = Field(2000, ge=1, description="Events that the verifier checks in one look.")
    verifier_accounts_max: int = Field(
        50_000,
        ge=100,
        description="Accounts that the verifier keeps in memory, about 2 kB each; the rest is in its file.",
    )

    @property
    def port(self) -> int:
        """The HTTP port."""
        return self.listen_port or super().port

    @property
    def grpc_port(self) -> int:
        """The port of gRPC; 0 for none."""
        return self.port + GRPC_OFFSET if self.grpc_listen_port is None else self.grpc_listen_port

    @property
    def url(self) -> str:
        """The address that peers are told, without a slash at the end."""
        return (self.own_url or f"http://127.0.0.1:{self.port}").rstrip("/")

    @property
    def runtime_role(self) -> str | None:
        """The runtime role's name, from its DSN."""
        return urlsplit(reveal(self.dsn)).username
