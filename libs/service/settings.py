"""Settings: read from the environment once, when a `__main__` builds its settings object, and passed down from there.

A service subclasses :class:`ServiceSettings`, sets `env_prefix` to `TALLYSTICK_<SERVICE>_` and adds its own fields;
secrets (DSNs, tokens) are `SecretStr`, so that no log and no traceback shows them, and have no default.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from pydantic import Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined
from pydantic_settings import BaseSettings, SettingsConfigDict

PREFIX = "TALLYSTICK_"
PORTS = {
    "edge": 0,
    "ledger": 1,
    "payments": 2,
    "codes": 3,
    "crm": 4,
    "notifier": 5,
    "meter": 6,
    "sandbox": 10,
    "postgres": 32,
}
"""Each service's HTTP port, counted from the base."""
GRPC_OFFSET = 1000
"""How far above its HTTP port a service has that of gRPC."""

EXIT_USAGE = 2


class ServiceSettings(BaseSettings):
    """What every service shares."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_ignore_empty=True,
        extra="forbid",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
    )

    env: Literal["development", "production", "test"] = Field(
        "development",
        validation_alias="TALLYSTICK_ENV",
        description="Where this runs. Nothing embedded starts in `production`.",
    )
    data: Path = Field(
        Path(".data"),
        validation_alias="TALLYSTICK_DATA",
        description="Directory of what a machine of its own keeps: database, keys, anchors, the broker's address.",
    )
    port_base: int = Field(
        8000,
        ge=1,
        le=64_000,
        validation_alias="TALLYSTICK_PORT_BASE",
        description="First port; edge is 0 above it, ledger 1, payments 2 …, PostgreSQL 32; gRPC is HTTP + 1000.",
    )
    kafka: str = Field(
        "",
        validation_alias="TALLYSTICK_KAFKA",
        description="Bootstrap servers `host:port,…`, or `file:<path>` of a JSON file that names them, which is read "
        "again on reconnecting. Default: `file:<TALLYSTICK_DATA>/broker.json`.",
    )
    jwks_file: Path = Field(
        Path(),
        validation_alias="TALLYSTICK_JWKS_FILE",
        description="Public keys that tokens are checked with. Default: `<TALLYSTICK_DATA>/keys/jwks.json`.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", validation_alias="TALLYSTICK_LOG_LEVEL", description="At `debug` every request is logged."
    )
    log_format: Literal["auto", "json", "text"] = Field(
        "auto",
        validation_alias="TALLYSTICK_LOG_FORMAT",
        description="`json`: an object per line; `text`: for people; `auto`: text on a terminal, else JSON.",
    )
    otel_endpoint: str | None = Field(
        None,
        validation_alias="TALLYSTICK_OTEL_ENDPOINT",
        description="OTLP/HTTP collector, for example `http://collector:4318`; unset: no tracing.",
    )

    @model_validator(mode="before")
    @classmethod
    def _derive_paths(cls, values: dict[str, Any]) -> dict[str, Any]:
        """Places that follow from the data directory unless they are set."""

        def given(name: str) -> Any:
            return values.get(f"{PREFIX}{name.upper()}", values.get(name))

        data = Path(given("data") or ".data")
        derived = {"kafka": f"file:{data / 'broker.json'}", "jwks_file": data / "keys" / "jwks.json"}
        return values | {f"{PREFIX}{name.upper()}": value for name, value in derived.items() if not given(name)}

    @model_validator(mode="after")
    def _nothing_embedded_in_production(self) -> Self:
        if self.env == "production" and self.kafka.startswith("file:"):
            raise ValueError("TALLYSTICK_KAFKA must name a real cluster when TALLYSTICK_ENV=production")
        return self

    @property
    def service(self) -> str:
        """The service's name, as in the prefix of its settings."""
        return str(self.model_config["env_prefix"]).removeprefix(PREFIX).strip("_").lower()

    @property
    def port(self) -> int:
        """The service's HTTP port."""
        return self.port_base + PORTS[self.service]


_S = TypeVar("_S", bound=ServiceSettings)


def load_settings(cls: type[_S]) -> _S:
    """Settings from the environment; a fault is said by the variable's name on stderr and ends the process with 2."""
    try:
        return cls()
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            name = ".".join(str(part) for part in fault["loc"])
            variable = variable_name(cls, name) if name in cls.model_fields else name
            print(f"{variable or 'settings'}: {fault['msg']}", file=sys.stderr)
        raise SystemExit(EXIT_USAGE) from None


def variable_name(cls: type[ServiceSettings], field: str) -> str:
    """The environment variable of one field."""
    alias = cls.model_fields[field].validation_alias
    return alias if isinstance(alias, str) else f"{cls.model_config['env_prefix']}{field}".upper()


def settings_markdown(classes: Sequence[type[ServiceSettings]]) -> str:
    """The page that lists every setting: a table of those shared by all, then one per service."""
    lines = [
        "# Settings",
        "",
        "Generated from the settings classes. All are environment variables, read once at start.",
        "",
    ]
    lines += _table("Shared by all", ServiceSettings, list(ServiceSettings.model_fields))
    for cls in classes:
        own = [name for name in cls.model_fields if name not in ServiceSettings.model_fields]
        title = str(cls.model_config["env_prefix"]).removeprefix(PREFIX).strip("_").capitalize() or "Peers"
        lines += _table(title, cls, own)
    return "\n".join(lines)


def _table(title: str, cls: type[ServiceSettings], fields: Sequence[str]) -> list[str]:
    lines = [f"## {title}", "", "| variable | default | meaning |", "|---|---|---|"]
    for name in fields:
        info = cls.model_fields[name]
        lines.append(f"| `{variable_name(cls, name)}` | {_default(info)} | {_meaning(cls, name, info)} |")
    return [*lines, ""]


def _default(info: FieldInfo) -> str:
    if info.default is PydanticUndefined and info.default_factory is None:
        return "required"
    if info.default in (None, "", Path()):
        return "–"
    return f"`{info.default}`"


def _meaning(cls: type[ServiceSettings], name: str, info: FieldInfo) -> str:
    if not info.description:
        raise ValueError(f"{cls.__name__}.{name} has no description")
    text = info.description.replace("|", "\\|")
    choices = getattr(info.annotation, "__args__", ()) if "Literal" in str(info.annotation) else ()
    if choices:
        text += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    return text + (" Secret." if info.annotation is SecretStr or "SecretStr" in str(info.annotation) else "")
