"""Events of an app itself."""

from __future__ import annotations

from libs.events.contracts.base import contract
from libs.events.contracts.ledger.events.parts import AppEvent
from libs.events.contracts.ledger.fields import Time


@contract("ledger.config_applied.v1")
class ConfigApplied(AppEvent):
    """A version of the app's configuration came into force; `document` is canonical JSON text."""

    version: int
    document: str


@contract("ledger.command_refused.v1")
class CommandRefused(AppEvent):
    """A command that came by Kafka was refused; `command` is its id, `user` whom it concerned."""

    command: str
    command_type: str
    status: int
    code: str
    detail: str
    user: str | None = None


@contract("ledger.command_repeated.v1")
class CommandRepeated(AppEvent):
    """A command that was done before under another id, by its idempotency key or its `unique_ref`: nothing happened.

    `first` is the object that the earlier one made. Or everything was already as the command asks: then `first` is the
    user.
    """

    command: str
    command_type: str
    first: str
    user: str | None = None


@contract("ledger.reset_completed.v1")
class ResetCompleted(AppEvent):
    """Every allowance of this partition that was due at the start of a calendar month has been reset: `accounts`."""

    due_at: Time
    accounts: int
