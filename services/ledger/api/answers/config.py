"""The app's configuration."""

from __future__ import annotations

from typing import Any

from services.ledger.api.answers.base import Answer


class Config(Answer):
    """The app's configuration; the header ETag has the version for `If-Match`."""

    app: str
    version: int
    config: dict[str, Any]


class Change(Answer):
    """One difference between two configurations."""

    path: str
    before: Any
    after: Any


class Difference(Answer):
    """What applying a configuration would change."""

    app: str
    version: int
    changes: list[Change]
