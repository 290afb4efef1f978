"""An app's configuration."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .base import Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(Answer):
    """An app's configuration: `version` counts its changes, `etag` goes into `if_match` of the next."""

    config: Mapping[str, Any]
    version: int | None = None
    etag: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigChange(Answer):
    """What applying a configuration would change; in `raw`, as the ledger shows it."""
