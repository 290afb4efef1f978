"""A command on its way to the writer, and the answer that comes back. The doors (HTTP, Kafka, jobs) make these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

from services.ledger.domain.commands import Command
from services.ledger.domain.config import ConfigDocument
from services.ledger.replies import Answer, Reply

__all__ = [
    "Answer",
    "ApplyConfig",
    "BuryMessage",
    "CompleteReset",
    "Cursor",
    "Door",
    "Request",
    "SettleTransfer",
    "Text",
    "together",
]

Door = Literal["http", "grpc", "kafka", "job"]


@dataclass(slots=True)
class Text:
    """Free text that can be erased: stored beside the log, which holds SHA-256 of `salt` and `body`."""

    salt: bytes
    body: str


@dataclass(slots=True, kw_only=True)
class ApplyConfig(Command):
    """A new version of an app's configuration; `expected` is the version that it replaces (0: the first)."""

    document: ConfigDocument
    expected: int | None = None


@dataclass(slots=True, kw_only=True)
class SettleTransfer(Command):
    """The credit of a pending transfer was refused with `refusal`: noted, so that the sender's shard returns it."""

    transfer: str
    refusal: str


@dataclass(slots=True, kw_only=True)
class CompleteReset(Command):
    """The allowances of a partition that were due at `due_at` have all been reset: `accounts` of them.

    Without a number it only waits for what was decided before it.
    """

    partition: int
    due_at: int
    accounts: int | None


@dataclass(slots=True, kw_only=True)
class BuryMessage(Command):
    """A Kafka record that is no command for its partition, to be kept as a dead letter; `raw` is the whole record."""

    reason: str
    detail: str
    raw: bytes
    message_id: str | None
    message_type: str | None
    source: str
    app: str


@dataclass(slots=True)
class Cursor:
    """Where in a Kafka topic a command stood; the place after it is stored with its effect.

    `after` is the place after the record that was read before it, None for the first that is read: what precedes a
    command is decided before it, or it is not decided either. `anew`: it lies before what has been read already, which
    only a log can bring that has begun again, as that of a topic which was deleted and made again.
    """

    cluster_id: str
    topic: str
    partition: int
    offset: int
    after: int | None = None
    anew: bool = False

    @property
    def place(self) -> tuple[str, str, int]:
        """The partition, of one incarnation of the broker."""
        return (self.cluster_id, self.topic, self.partition)


@dataclass(slots=True)
class Request:
    """One command with all that the writer needs to decide it, once.

    `build` makes the command when the account's scale is known, and may reject what is no proper amount of it.
    `by_target`: only `target` (the id of a hold, charge or grant) says whose account it is, and `user` is "" until it
    has been found. `asset` is None for the app's default. `key` is "" for jobs, which are idempotent by what they
    ask. `fingerprint` identifies the command as sent; `unique_fingerprint` the same without labels that may differ.
    """

    app: str
    user: str
    asset: str | None
    type: str
    build: Callable[[int], Command]
    caller: str
    key: str
    fingerprint: bytes
    unique_fingerprint: bytes
    actor: str
    door: Door
    request_id: str
    command_id: str = ""
    correlation_id: str = ""
    causation_id: str = ""
    traceparent: str | None = None
    target: str | None = None
    by_target: bool = False
    expected_user: str | None = None
    """Whose account `target` must be, where the door knows."""

    named: tuple[str, ...] = ()
    """What the command names beside its target: lots, which may be dead, and holds, which may have ended."""

    unique_ref: str | None = None
    unique_type: str = ""
    text: Text | None = None
    cursor: Cursor | None = None
    message_type: str = ""
    """The type of the Kafka message, by which its sender hears of a refusal."""

    transfer: str | None = None
    """The transfer that this request takes a step of."""

    transaction_id: str = ""
    """The transaction that its events belong to, where it is not one of its own."""

    items: tuple[Request, ...] = ()
    """Requests that this one consists of: all of them are done, or none."""

    read_key: bool = False
    """Whether `key` must be looked up where no memory has it: without that it cannot be told what becomes of this."""

    answer: Reply = field(init=False)
    """Where its answer goes; there from when it is handed to a writer."""

    queued_at: float = 0.0
    attempts: int = 0

    @property
    def size(self) -> int:
        """How many commands it is."""
        return len(self.items) or 1


def together(items: Sequence[Request]) -> Request:
    """One request of several that lie on one partition: they are decided in order, and all done or none."""
    first = items[0]
    for item in items:
        # Whether all of them are repeats, or none, decides what becomes of them.
        item.read_key = True
    return Request(
        app=first.app,
        user="",
        asset=None,
        type="batch",
        build=first.build,
        caller=first.caller,
        key="",
        fingerprint=b"",
        unique_fingerprint=b"",
        actor=first.actor,
        door=first.door,
        request_id=first.request_id,
        items=tuple(items),
    )
