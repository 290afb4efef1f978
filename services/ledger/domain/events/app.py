"""Events of an app itself."""

from __future__ import annotations

from dataclasses import dataclass

from services.ledger.domain.events.parts import AppEvent, Time


@dataclass(slots=True, kw_only=True)
class ConfigApplied(AppEvent):
    """`document` is the ledger's part of the app file as canonical JSON text."""

    version: int
    document: str


@dataclass(slots=True, kw_only=True)
class CommandRefused(AppEvent):
    """A command that came by Kafka and was refused; `command` is its id, `user` whom it concerned."""

    command: str
    command_type: str
    status: int
    code: str
    detail: str
    user: str | None = None


@dataclass(slots=True, kw_only=True)
class CommandRepeated(AppEvent):
    """A command that was done before under another id: `first` is the object that the earlier one made.

    Or it found everything as it asks for: then `first` is whose account it is.
    """

    command: str
    command_type: str
    first: str
    user: str | None = None


@dataclass(slots=True, kw_only=True)
class ResetCompleted(AppEvent):
    """Every allowance of this partition that was due at the start of a calendar month has been reset: `accounts`."""

    due_at: Time
    accounts: int
